// Which pools want which device, and how large its packets may be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { API_VERSION } from '../../model/resource.ts';
import { ip } from '../../net/ip.ts';
import { enabledOf, isWithin, selecting, tunnelMtu, tunnelPools } from './wanted.ts';

const pool = (spec: Partial<IpPoolSpec>): IpPool => ({
  kind: 'IPPool',
  apiVersion: API_VERSION,
  metadata: { name: 'p' },
  spec: { cidr: '192.168.0.0/16', ...spec },
});

test('devices: of pools with the encapsulation, whomever they select, disabled ones too', () => {
  const wanted = (spec: Partial<IpPoolSpec>) =>
    (['ipip', 'vxlan', 'vxlanV6'] as const).filter(
      (tunnel) => tunnelPools(tunnel, [pool(spec)]).length === 1,
    );
  assert.deepEqual(
    [
      wanted({ ipipMode: 'Always' }),
      wanted({ ipipMode: 'CrossSubnet', nodeSelector: "rack == 'b'" }),
      wanted({ ipipMode: 'Always', disabled: true }),
      wanted({ ipipMode: 'Always', cidr: 'fd00::/64' }),
      wanted({ ipipMode: 'Never' }),
      wanted({}),
      wanted({ vxlanMode: 'Always' }),
      wanted({ ipipMode: 'Never', vxlanMode: 'CrossSubnet' }),
      wanted({ vxlanMode: 'CrossSubnet', cidr: 'fd00::/64' }),
      wanted({ vxlanMode: 'Never' }),
    ],
    [['ipip'], ['ipip'], ['ipip'], [], [], [], ['vxlan'], ['vxlan'], ['vxlanV6'], []],
  );
});

test('addresses: of pools that select the node, new ones of those that are enabled', () => {
  const selects = (nodeSelector?: string) =>
    selecting([pool(nodeSelector === undefined ? {} : { nodeSelector })], { rack: 'a' }).length;
  assert.deepEqual(
    ["rack == 'a'", "rack == 'b'", 'no selector at all', undefined].map(selects),
    [1, 0, 0, 1],
  );
  assert.deepEqual(enabledOf([pool({ disabled: true }), pool({})]).length, 1);
});

test('an address is within a pool', () => {
  assert.equal(isWithin([pool({})], ip('192.168.3.4')), true);
  assert.equal(isWithin([pool({})], ip('10.0.0.1')), false);
});

test('the MTU is what is set, else what the link leaves; VXLAN’s never more than that', () => {
  assert.deepEqual(
    [
      tunnelMtu('ipip', undefined, 9000),
      tunnelMtu('ipip', 1400, 9000),
      tunnelMtu('ipip', undefined, undefined),
      tunnelMtu('vxlan', undefined, 1500),
      tunnelMtu('vxlanV6', undefined, 1500),
      tunnelMtu('vxlan', 1400, 1500),
      tunnelMtu('vxlan', 8950, 1500),
      tunnelMtu('vxlan', 0, undefined),
    ],
    [8980, 1400, 1480, 1450, 1430, 1400, 1450, 1450],
  );
});
