import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelRecord, vxlanMac, withTunnelRecord } from './tunnel.ts';

test('the hardware address that a node’s name gives', () => {
  // printf n1 | sha1sum, printf n1-v6 | sha1sum
  assert.equal(vxlanMac('n1', 4), '66:40:b3:ea:b6:3f');
  assert.equal(vxlanMac('n1', 6), '66:46:32:55:72:28');
});

test('a Node tells of each tunnel, and of the others nothing else', () => {
  const spec = {
    bgp: { ipv4Address: '10.0.0.1/24', ipv4IPIPTunnelAddr: '192.168.0.1' },
    ipv4VXLANTunnelAddr: '192.168.0.2',
    vxlanTunnelMACAddr: '66:00:00:00:00:01',
  };
  assert.deepEqual(tunnelRecord(spec, 'ipip'), { address: '192.168.0.1' });
  assert.deepEqual(tunnelRecord(spec, 'vxlan'), {
    address: '192.168.0.2',
    mac: '66:00:00:00:00:01',
  });
  assert.deepEqual(tunnelRecord(spec, 'vxlanV6'), { address: undefined, mac: undefined });
  const six = { address: 'fd00::1', mac: '66:00:00:00:00:06' };
  const more = withTunnelRecord(spec, 'vxlanV6', six);
  assert.deepEqual(more, {
    ...spec,
    ipv6VXLANTunnelAddr: six.address,
    vxlanTunnelMACAddrV6: six.mac,
  });
  assert.deepEqual(withTunnelRecord(more, 'vxlanV6', {}), spec);
  const { ipv4VXLANTunnelAddr: _, vxlanTunnelMACAddr: __, ...rest } = spec;
  assert.deepEqual(withTunnelRecord(spec, 'vxlan', {}), rest);
  assert.deepEqual(withTunnelRecord(rest, 'ipip', {}), { bgp: { ipv4Address: '10.0.0.1/24' } });
});
