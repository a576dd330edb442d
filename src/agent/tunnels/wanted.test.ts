// Which pools want the device, and how large its packets may be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { API_VERSION } from '../../model/resource.ts';
import { ip } from '../../net/ip.ts';
import { ipipMtu, ipipPools, isWithin } from './wanted.ts';

const pool = (spec: Partial<IpPoolSpec>): IpPool => ({
  kind: 'IPPool',
  apiVersion: API_VERSION,
  metadata: { name: 'p' },
  spec: { cidr: '192.168.0.0/16', ...spec },
});

test('enabled IPv4 pools with IP-in-IP that select the node', () => {
  const wanted = (spec: Partial<IpPoolSpec>): boolean =>
    ipipPools([pool(spec)], { rack: 'a' }).length === 1;
  assert.deepEqual(
    [
      wanted({ ipipMode: 'Always' }),
      wanted({ ipipMode: 'CrossSubnet', nodeSelector: "rack == 'a'" }),
      wanted({ ipipMode: 'CrossSubnet', nodeSelector: "rack == 'b'" }),
      wanted({ ipipMode: 'Always', nodeSelector: 'no selector at all' }),
      wanted({ ipipMode: 'Always', disabled: true }),
      wanted({ ipipMode: 'Always', cidr: 'fd00::/64' }),
      wanted({ ipipMode: 'Never' }),
      wanted({}),
    ],
    [true, true, false, false, false, false, false, false],
  );
});

test('an address is within a pool; the MTU is what is set, else what the link leaves', () => {
  assert.equal(isWithin([pool({})], ip('192.168.3.4')), true);
  assert.equal(isWithin([pool({})], ip('10.0.0.1')), false);
  assert.deepEqual(
    [ipipMtu(undefined, 9000), ipipMtu(1400, 9000), ipipMtu(undefined, undefined)],
    [8980, 1400, 1480],
  );
});
