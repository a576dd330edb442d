import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assignOne, emptyBlock } from '../../ipam/block.ts';
import { printIpam } from '../../model/ipam.ts';
import { affinityKey, blockKey, IPAM_CONFIG_KEY, resourceKey } from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { cidr } from '../../net/cidr.ts';
import { gather } from './gather.ts';

const NOBODY = { pods: new Map(), statefulSets: new Map(), nodes: new Set<string>() };

const blockOf = (range: string, owner: string) => ({
  key: blockKey(cidr(range)),
  value: printIpam(
    assignOne(emptyBlock({ cidr: cidr(range), owner, claimedAt: 't', sequenceNumber: 7n }), {
      handle_id: 'net.c',
      secondary: { node: 'z' },
    }).block,
  ),
});
const affinityOf = (node: string, range: string, state: string) => ({
  key: affinityKey(node, cidr(range)),
  value: `{"state":"${state}","deleted":false}`,
});
const resource = (
  plural: 'ippools' | 'ipreservations',
  kind: 'IPPool' | 'IPReservation',
  spec: object,
) => ({
  key: resourceKey(plural, 'x'),
  value: printResource({ kind, apiVersion: API_VERSION, metadata: { name: 'x' }, spec }),
});

test('who is named by blocks and affinities, finished or not; only what is confirmed is owned', () => {
  const { owners, blocks } = gather(
    [
      blockOf('10.0.0.0/26', 'host:a'),
      affinityOf('a', '10.0.0.0/26', 'confirmed'),
      blockOf('10.0.1.0/26', 'host:half'),
      affinityOf('alone', '10.0.2.0/26', 'pending'),
      blockOf('10.0.3.0/26', 'virtual:load-balancer'),
    ],
    NOBODY,
  );
  assert.deepEqual([...owners].sort(), ['a', 'alone', 'half']);
  assert.deepEqual(
    blocks.map(({ node, used }) => [node, used]),
    [['a', 1]],
  );
});

test('pools with their sizes and what is reserved of them; allocations know their pool', () => {
  const { pools, allocations } = gather(
    [
      resource('ippools', 'IPPool', { cidr: '10.0.0.0/16' }),
      resource('ipreservations', 'IPReservation', {
        reservedCIDRs: ['10.0.0.0/24', '10.0.0.128/25', '10.0.255.255/32', '9.255.255.255/32'],
      }),
      blockOf('10.0.1.0/26', 'host:a'),
      blockOf('10.77.0.0/26', 'host:a'),
    ],
    NOBODY,
  );
  assert.deepEqual(pools, [
    { name: 'x', range: cidr('10.0.0.0/16'), size: 65536n, reserved: 257n },
  ]);
  assert.deepEqual(
    allocations.map(({ pool, owner, attributes }) => [pool, owner, attributes['node']]),
    [
      ['x', 'a', 'z'],
      [undefined, 'a', 'z'],
    ],
  );
});

test('whether VMs keep their addresses is IPAM’s configuration', () => {
  const keeps = (value: string) => gather([{ key: IPAM_CONFIG_KEY, value }], NOBODY).keepsMachines;
  assert.equal(gather([], NOBODY).keepsMachines, true);
  assert.equal(keeps('{"kubeVirtVMAddressPersistence":"Enabled"}'), true);
  assert.equal(keeps('{"strict_affinity":true}'), false);
  assert.equal(keeps('{"kubeVirtVMAddressPersistence":"Disabled"}'), false);
});
