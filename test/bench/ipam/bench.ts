// IPAM by figures: transactions an address costs (counted by a proxy in front of etcd), its latency
// beside a bare transaction on the same etcd, how often many hosts collide, and how fast a full pool
// says so.
import { systemClock } from '../../../src/base/clock.io.ts';
import { openEtcdStore } from '../../../src/datastore/etcd.io.ts';
import { memoryStore } from '../../../src/datastore/memory.ts';
import type { Store } from '../../../src/datastore/store.ts';
import { type Allocator, openAllocator } from '../../../src/ipam/allocator.io.ts';
import { assignOne, emptyBlock, ownerOf } from '../../../src/ipam/block.ts';
import { printIpam } from '../../../src/model/ipam.ts';
import { blockKey, namespacedKey, resourceKey } from '../../../src/model/keys.ts';
import { API_VERSION, printResource } from '../../../src/model/resource.ts';
import { workloadEndpointName } from '../../../src/model/workload-endpoint.ts';
import { cidr } from '../../../src/net/cidr.ts';
import { startEtcd } from '../../lab/etcd-server.ts';
import { figure, quantile } from '../figures.ts';
import { startCountingProxy } from './counting-proxy.ts';

/** Fewer than make a node claim its next block, which costs a transaction beside. */
const SERIAL = 40;
const SERIAL_ROUNDS = 5;
const PARALLEL = 64;
const PARALLEL_ROUNDS = 10;
const LATENCIES = 1000;
/** A block's worth beside the warm address: the node has two blocks then. */
const MANY = 64;
const MANY_ROUNDS = 50;
const HOSTS = 1000;
const HOSTS_AT_ONCE = 50;
const FULL_BLOCKS = 1024;

interface Counts {
  transactions: number;
  conflicts: number;
}

/** The store with every transaction counted that goes out. */
function counted(store: Store, counts: Counts): Store {
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    watch: (prefix, watcher, signal) => store.watch(prefix, watcher, signal),
    close: () => store.close(),
    transaction: async (compares, writes) => {
      counts.transactions++;
      const result = await store.transaction(compares, writes);
      if (result.kind === 'conflict') counts.conflicts++;
      return result;
    },
  };
}

async function addPool(store: Store, range: string, blockSize: number): Promise<void> {
  const value = printResource({
    kind: 'IPPool',
    apiVersion: API_VERSION,
    metadata: { name: 'pool' },
    spec: { cidr: range, blockSize },
  });
  await store.transaction([], [{ kind: 'put', key: resourceKey('ippools', 'pool'), value }]);
}

async function open(store: Store, node: string): Promise<Allocator> {
  const allocator = openAllocator({ store, node, clock: systemClock });
  await allocator.ready();
  return allocator;
}

async function take(allocator: Allocator, node: string, pod: string): Promise<void> {
  const outcome = await allocator.assign({
    handleId: `k8s-pod-network.${pod}`,
    attributes: { node, pod, namespace: 'default', timestamp: new Date().toISOString() },
    count4: 1,
    count6: 0,
    alongside: (ips) => ({
      compares: [{ key: endpointKey(node, pod), revision: 0n }],
      writes: [{ kind: 'put', key: endpointKey(node, pod), value: endpointOf(node, pod, ips) }],
    }),
  });
  if (outcome.kind !== 'assigned') throw new Error(`${pod}: ${outcome.kind}`);
}

const give = (allocator: Allocator, node: string, pod: string): Promise<unknown> =>
  allocator.release({
    handleId: `k8s-pod-network.${pod}`,
    alongside: { compares: [], writes: [{ kind: 'delete', key: endpointKey(node, pod) }] },
  });

const endpointKey = (node: string, pod: string): string =>
  namespacedKey(
    'workloadendpoints',
    'default',
    workloadEndpointName({ node, orchestrator: 'k8s', workload: pod, endpoint: 'eth0' }),
  );

const endpointOf = (node: string, pod: string, ips: readonly string[]): string =>
  printResource({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name: pod, namespace: 'default' },
    spec: { orchestrator: 'k8s', node, pod, endpoint: 'eth0', ipNetworks: ips },
  });

async function transactionsPerAdd(etcd: string): Promise<void> {
  const proxy = await startCountingProxy(etcd);
  const store = openEtcdStore({ endpoints: [proxy.endpoint] });
  const allocator = await open(store, 'node1');
  await take(allocator, 'node1', 'warm');
  let serial = 0;
  for (let round = 0; round < SERIAL_ROUNDS; round++) {
    proxy.reset();
    for (let n = 0; n < SERIAL; n++) await take(allocator, 'node1', `serial${n}`);
    serial += proxy.count('Txn');
    for (let n = 0; n < SERIAL; n++) await give(allocator, 'node1', `serial${n}`);
  }
  const perAdd = serial / (SERIAL * SERIAL_ROUNDS);
  console.log(figure('ipam-transactions-serial', perAdd, 1, '', 1));
  proxy.reset();
  const worker = async (w: number): Promise<void> => {
    for (let n = 0; n < PARALLEL_ROUNDS; n++) await take(allocator, 'node1', `w${w}x${n}`);
  };
  await Promise.all(Array.from({ length: PARALLEL }, (_, w) => worker(w)));
  const together = proxy.count('Txn') / (PARALLEL * PARALLEL_ROUNDS);
  console.log(figure(`ipam-transactions-parallel-${PARALLEL}`, together, 1, '', 0.25));
  allocator.close();
  store.close();
  proxy.close();
}

/** 64 addresses in one call: one transaction, beside the bare one that stores as much. */
async function manyAddresses(etcd: string): Promise<void> {
  const proxy = await startCountingProxy(etcd);
  const store = openEtcdStore({ endpoints: [proxy.endpoint] });
  const allocator = await open(store, 'node3');
  const call = async (handleId: string, count4: number): Promise<number> => {
    const start = performance.now();
    const attributes = { node: 'node3' };
    const alongside = () => ({ compares: [], writes: [] });
    const outcome = await allocator.assign({ handleId, attributes, count4, count6: 0, alongside });
    if (outcome.kind !== 'assigned' || outcome.ips.length !== count4)
      throw new Error(`${handleId}: ${outcome.kind}`);
    return performance.now() - start;
  };
  await call('n.warm', 1);
  await call('n.second', MANY); // the second block is claimed
  await allocator.release({ handleId: 'n.second' });
  const times: number[] = [];
  let transactions = 0;
  for (let n = 0; n < MANY_ROUNDS; n++) {
    proxy.reset();
    times.push(await call(`n.many${n}`, MANY));
    transactions += proxy.count('Txn');
    await allocator.release({ handleId: `n.many${n}` });
  }
  console.log(
    figure(`ipam-transactions-${MANY}-in-one-call`, transactions / MANY_ROUNDS, 1, '', 1),
  );
  const P8_MILLISECONDS = 5000; // the bound that Calico's own test sets for it
  console.log(
    figure(`ipam-${MANY}-in-one-call-p99`, quantile(times, 0.99), P8_MILLISECONDS, 'ms', 0.1),
  );
  allocator.close();
  store.close();
  proxy.close();
}

async function latency(store: Store): Promise<void> {
  const allocator = await open(store, 'node2');
  await take(allocator, 'node2', 'first');
  const [ours, bare]: [number[], number[]] = [[], []];
  let revision = 0n;
  for (let n = 0; n < LATENCIES; n++) {
    let start = performance.now();
    const compares = [{ key: '/bench/bare', revision }];
    const writes = [{ kind: 'put', key: '/bench/bare', value: String(n) } as const];
    const result = await store.transaction(compares, writes);
    bare.push(performance.now() - start);
    if (result.kind === 'committed') revision = result.revision;
    start = performance.now();
    await take(allocator, 'node2', `timed${n}`);
    ours.push(performance.now() - start);
    await give(allocator, 'node2', `timed${n}`);
  }
  for (const [name, q] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    console.log(figure(`ipam-warm-${name}`, quantile(ours, q), quantile(bare, q), 'ms', 1.5));
  }
  allocator.close();
}

/** Hosts come up in overlapping waves and take two addresses each. */
async function manyHosts(): Promise<void> {
  const counts: Counts = { transactions: 0, conflicts: 0 };
  const store = counted(memoryStore(), counts);
  await addPool(store, '10.0.0.0/14', 28); // few addresses a block: 1,000 views are read here
  const hosts = Array.from({ length: HOSTS }, (_, n) => `host-${n}.example`);
  const worker = async (): Promise<void> => {
    for (let host = hosts.pop(); host !== undefined; host = hosts.pop()) {
      const allocator = await open(store, host);
      await take(allocator, host, `${host}-first`);
      await take(allocator, host, `${host}-second`);
      allocator.close();
    }
  };
  await Promise.all(Array.from({ length: HOSTS_AT_ONCE }, worker));
  const share = counts.conflicts / counts.transactions;
  console.log(`${counts.conflicts} conflicts in ${counts.transactions} transactions`);
  console.log(figure(`ipam-${HOSTS}-hosts-conflicts`, share, 1, '', 0.01));
}

async function fullPool(store: Store): Promise<void> {
  await addPool(store, '10.8.0.0/20', 30);
  for (let n = 0; n < FULL_BLOCKS; n++) {
    const block = cidr(`10.8.${n >> 6}.${(n & 63) * 4}/30`);
    const owner = `full-${n}`;
    let value = emptyBlock({
      cidr: block,
      owner: ownerOf(owner),
      claimedAt: new Date().toISOString(),
      sequenceNumber: 1n,
    });
    for (let i = 0; i < 4; i++)
      value = assignOne(value, { handle_id: `n.${n}`, secondary: { node: owner } }).block;
    const put = { kind: 'put', key: blockKey(block), value: printIpam(value) } as const;
    await store.transaction([], [put]);
  }
  const allocator = await open(store, 'late');
  const times: number[] = [];
  for (let n = 0; n < 100; n++) {
    const start = performance.now();
    const outcome = await allocator.assign({
      handleId: `n.late${n}`,
      attributes: {},
      count4: 1,
      count6: 0,
      alongside: () => ({ compares: [], writes: [] }),
    });
    times.push(performance.now() - start);
    if (outcome.kind !== 'exhausted') throw new Error(`a full pool answered ${outcome.kind}`);
  }
  const GOAL_MILLISECONDS = 50;
  console.log(figure('ipam-full-pool-p99', quantile(times, 0.99), GOAL_MILLISECONDS, 'ms', 1));
  allocator.close();
}

const server = await startEtcd();
const store = openEtcdStore({ endpoints: server.endpoints });
try {
  await addPool(store, '10.4.0.0/16', 26);
  await transactionsPerAdd(server.endpoints[0]!);
  await manyAddresses(server.endpoints[0]!);
  await latency(store);
  await manyHosts();
  await fullPool(store);
} finally {
  store.close();
  await server.stop();
}
