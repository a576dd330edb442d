// Byte for byte what calicoctl printed for the same content of the datastore.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryStore } from '../../datastore/memory.ts';
import { assignOne, emptyBlock, releaseHandle } from '../../ipam/block.ts';
import { type IpamBlock, printIpam } from '../../model/ipam.ts';
import {
  affinityKey,
  blockKey,
  handleKey,
  IPAM_CONFIG_KEY,
  namespacedKey,
  ROOT,
  resourceKey,
} from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { type Output, textOf } from '../output.ts';
import { check } from './check.ts';
import {
  general,
  percent,
  showAddress,
  showBorrowed,
  showConfiguration,
  showUsage,
} from './show.ts';
import { readWorld, type World } from './world.ts';

const RANGE = cidr('192.168.166.128/26');
const NOW = new Date('2026-11-23T00:00:00Z');

const resource = (kind: string, name: string, spec: object, namespace?: string): string =>
  printResource({
    kind,
    apiVersion: API_VERSION,
    metadata: { name, ...(namespace ? { namespace } : {}) },
    spec,
  });

/** Node1 with pods p2 and p3, as in the recorded session: p1's address, the first, is free again. */
function recorded(): { store: ReturnType<typeof memoryStore>; block: IpamBlock } {
  const store = memoryStore();
  const empty = emptyBlock({
    cidr: RANGE,
    owner: 'host:node1',
    claimedAt: 't',
    sequenceNumber: 9n,
  });
  const block = ['p1', 'p2', 'p3'].reduce(
    (before, pod) =>
      assignOne(before, {
        handle_id: `k8s-pod-network.${pod}`,
        secondary: { node: 'node1', timestamp: '2026-11-22 23:20:00 +0000 UTC' },
      }).block,
    empty,
  );
  const freed = releaseHandle(block, 'k8s-pod-network.p1')!.block;
  store.put(blockKey(RANGE), printIpam(freed));
  store.put(affinityKey('node1', RANGE), '{"state":"confirmed","deleted":false}');
  const pool = { cidr: '192.168.0.0/16', blockSize: 26 };
  store.put(
    resourceKey('ippools', 'default-ipv4-ippool'),
    resource('IPPool', 'default-ipv4-ippool', pool),
  );
  for (const [pod, address] of [
    ['p2', '192.168.166.129'],
    ['p3', '192.168.166.130'],
  ] as const) {
    const name = `node1-cni-${pod}-eth0`;
    const spec = {
      orchestrator: 'cni',
      node: 'node1',
      containerID: pod,
      endpoint: 'eth0',
      ipNetworks: [`${address}/32`],
    };
    store.put(
      namespacedKey('workloadendpoints', 'default', name),
      resource('WorkloadEndpoint', name, spec, 'default'),
    );
    store.put(
      handleKey(`k8s-pod-network.${pod}`),
      printIpam({ block: { [RANGE]: 1 }, deleted: false }),
    );
  }
  return { store, block: freed };
}

const worldOf = async (store: ReturnType<typeof memoryStore>): Promise<World> =>
  readWorld((await store.list(ROOT)).items, NOW);

const printed = (output: Output): string => `${textOf(output, false)}\n`;

test('ipam show: pools', async () => {
  const world = await worldOf(recorded().store);
  assert.equal(
    printed(showUsage(world, { blocks: false })),
    `+----------+----------------+-----------+------------+--------------+--------------+
| GROUPING | CIDR           | IPS TOTAL | IPS IN USE | IPS RESERVED | IPS FREE     |
+----------+----------------+-----------+------------+--------------+--------------+
| IP Pool  | 192.168.0.0/16 |     65536 |     2 (0%) |       0 (0%) | 65534 (100%) |
+----------+----------------+-----------+------------+--------------+--------------+
`,
  );
});

test('ipam show --show-blocks', async () => {
  const world = await worldOf(recorded().store);
  assert.equal(
    printed(showUsage(world, { blocks: true })),
    `+----------+--------------------+-----------+------------+--------------+--------------+
| GROUPING | CIDR               | IPS TOTAL | IPS IN USE | IPS RESERVED | IPS FREE     |
+----------+--------------------+-----------+------------+--------------+--------------+
| IP Pool  | 192.168.0.0/16     |     65536 |     2 (0%) |       0 (0%) | 65534 (100%) |
| Block    | 192.168.166.128/26 |        64 |     2 (3%) |       0 (0%) |     62 (97%) |
+----------+--------------------+-----------+------------+--------------+--------------+
`,
  );
});

test('ipam show --show-borrowed, with none and with one', async () => {
  const { store, block } = recorded();
  assert.equal(
    printed(showBorrowed(await worldOf(store))),
    `+----+----------------+-------+-------------+------+--------------+
| IP | BORROWING-NODE | BLOCK | BLOCK OWNER | TYPE | ALLOCATED-TO |
+----+----------------+-------+-------------+------+--------------+
+----+----------------+-------+-------------+------+--------------+
`,
  );
  const guest = { node: 'node2', pod: 'web', namespace: 'default' };
  const lent = assignOne(block, { handle_id: 'k8s-pod-network.g', secondary: guest }).block;
  store.put(blockKey(RANGE), printIpam(lent));
  assert.deepEqual(showBorrowed(await worldOf(store)).data, [
    {
      ip: '192.168.166.131',
      node: 'node2',
      block: RANGE,
      owner: 'node1',
      type: 'pod',
      allocatedTo: 'default/web',
    },
  ]);
});

test('ipam show --ip', async () => {
  const world = await worldOf(recorded().store);
  assert.equal(printed(showAddress(world, ip('192.168.9.9'))), '192.168.9.9 is not assigned\n');
  assert.equal(
    printed(showAddress(world, ip('192.168.166.129'))),
    `IP 192.168.166.129 is in use
Handle ID: k8s-pod-network.p2
Active Owner Attributes:
  node: node1
  timestamp: 2026-11-22 23:20:00 +0000 UTC
`,
  );
});

test('ipam show --show-configuration; the persistence of VMs is said in a word', async () => {
  const { store } = recorded();
  const expected = (strict: string, most: string): string =>
    `+------------------------------+---------+
| PROPERTY                     | VALUE   |
+------------------------------+---------+
| StrictAffinity               | ${strict}|
| AutoAllocateBlocks           | true    |
| MaxBlocksPerHost             | ${most}|
| KubeVirtVMAddressPersistence | Enabled |
| IPCooldownSeconds            | 0       |
+------------------------------+---------+
`;
  assert.equal(printed(showConfiguration(await worldOf(store))), expected('false   ', '0       '));
  store.put(
    IPAM_CONFIG_KEY,
    '{"strict_affinity":true,"auto_allocate_blocks":true,"maxBlocksPerHost":4}',
  );
  assert.equal(printed(showConfiguration(await worldOf(store))), expected('true    ', '4       '));
});

test('reserved addresses are not free; one that was given out before counts once', async () => {
  const { store } = recorded();
  store.put(
    resourceKey('ipreservations', 'r'),
    resource('IPReservation', 'r', { reservedCIDRs: ['192.168.166.128/30', '10.0.0.0/8'] }),
  );
  const { data } = showUsage(await worldOf(store), { blocks: true });
  const [pool, block] = data as readonly { reserved: number; free: number }[];
  assert.deepEqual([pool?.reserved, pool?.free], [4, 65536 - 2 - 4 + 2]);
  assert.deepEqual([block?.reserved, block?.free], [4, 60]);
});

test('numbers as C prints them', () => {
  assert.deepEqual([2, 65536, 99999, 131072, 1048576, 2 ** 64].map(general), [
    '2',
    '65536',
    '99999',
    '1.3107e+05',
    '1.0486e+06',
    '1.8447e+19',
  ]);
  assert.deepEqual(
    [percent(1, 8), percent(3, 8), percent(2, 64), percent(1, 200)],
    ['12', '38', '3', '0'],
  );
});

test('ipam check: a sound datastore, and one with every kind of problem', async () => {
  const { store, block } = recorded();
  const sound = check(await worldOf(store), 'v1');
  assert.equal(
    printed(sound),
    `Checking IPAM for inconsistencies...

Loading all IPAM blocks...
Found 1 IPAM blocks.
 IPAM block 192.168.166.128/26 affinity=host:node1:
IPAM blocks record 2 allocations.

Loading all IPAM pools...
  192.168.0.0/16
Found 1 active IP pools.

Loading all nodes.
Found 0 node tunnel IPs.

Loading all workload endpoints.
Found 2 workload IPs.
Workloads and nodes are using 2 IPs.

Loading all handles
Looking for top (up to 20) nodes by allocations...
  node1 has 2 allocations
Node with most allocations has 2; median is 2

Scanning for IPs that are allocated but not actually in use...
Found 0 IPs that are allocated in IPAM but not actually in use.
Scanning for IPs that are in use by a workload or node but not allocated in IPAM...
Found 0 in-use IPs that are not in active IP pools.
Found 0 in-use IPs that are in active IP pools but have no corresponding IPAM allocation.

Scanning for IPAM handles with no matching IPs...
Found 0 handles with no matching IPs (and 2 handles with matches).
Scanning for IPs with missing handle...
Found 0 handles mentioned in blocks with no matching handle resource.
Validating IPAMBlock structures...
Found 0 violated invariants.
Check complete; found 0 problems.
`,
  );
  assert.equal(sound.failed, false);

  const leaky = assignOne(block, { handle_id: 'n.leak', secondary: { node: 'node1' } }).block;
  store.put(blockKey(RANGE), printIpam(leaky));
  store.put(handleKey('n.idle'), printIpam({ block: { [RANGE]: 1 }, deleted: false }));
  const spec = { orchestrator: 'k8s', node: 'node1', endpoint: 'eth0' };
  const name = 'node1-k8s-x-eth0';
  store.put(
    namespacedKey('workloadendpoints', 'default', name),
    resource(
      'WorkloadEndpoint',
      name,
      { ...spec, ipNetworks: ['192.168.200.7/32', '10.9.9.9/32'] },
      'default',
    ),
  );
  const wrong = check(await worldOf(store), 'v1', { showProblemIps: true });
  assert.equal(wrong.failed, true);
  for (const line of [
    '  192.168.166.131 leaked; handle n.leak',
    '  10.9.9.9 in use by Workload(default/node1-k8s-x-eth0) is not in any active IP pool.',
    '  192.168.200.7 in use by Workload(default/node1-k8s-x-eth0) and in active IPAM pool but has no IPAM allocation.',
    "  n.idle doesn't have any active IPs.",
    "  n.leak is in use in a block but doesn't exist.",
    'Found 2 violated invariants.',
    'Check complete; found 6 problems.',
  ])
    assert.ok(wrong.lines.includes(line), `${line}\n${wrong.lines.join('\n')}`);
});
