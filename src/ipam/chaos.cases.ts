// A world of nodes whose allocators die between any two steps, over one store: what tests need to
// enumerate crashes. (Crashes at random, with all other faults: test/simulation.)
import assert from 'node:assert/strict';
import { OpError } from '../base/op-error.ts';
import type { MemoryStore } from '../datastore/memory.ts';
import type { Store, Write } from '../datastore/store.ts';
import { HANDLE_PREFIX, IPAM, namespacedKey, ROOT } from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import type { Ip } from '../net/ip.ts';
import { open, request } from './allocator.cases.ts';
import type { Allocator } from './allocator.io.ts';
import { auditIpam, leakedAddresses } from './audit.ts';

/** A store as one process sees it: it dies after so many half-steps, then nothing goes out. */
export interface Mortal extends Store {
  readonly dead: boolean;
  /** Half-steps so far: one before and one after each call. */
  readonly steps: number;
}

/** `pause` is awaited around each call; it decides how processes interleave. */
export function mortal(
  store: Store,
  diesAt = Number.POSITIVE_INFINITY,
  pause: () => Promise<void> = async () => {},
): Mortal {
  let steps = 0;
  const step = (): void => {
    if (steps++ >= diesAt) throw new OpError('mortal store', 'the process is dead');
  };
  async function around<T>(work: () => Promise<T>): Promise<T> {
    await pause();
    step();
    const result = await work();
    await pause();
    step();
    return result;
  }
  return {
    get dead() {
      return steps > diesAt;
    },
    get steps() {
      return steps;
    },
    get: (key) => around(() => store.get(key)),
    list: (prefix) => around(() => store.list(prefix)),
    transaction: (compares, writes) => around(() => store.transaction(compares, writes)),
    watch: (prefix, watcher, signal) => store.watch(prefix, watcher, signal),
    close: () => {},
  };
}

const HANDLE = 'k8s-pod-network.';
const endpointKey = (pod: string): string => namespacedKey('workloadendpoints', 'default', pod);

export interface Node {
  readonly name: string;
  readonly store: Mortal;
  readonly allocator: Allocator;
}

export async function startNode(name: string, store: Mortal): Promise<Node> {
  return { name, store, allocator: await open(store, name) };
}

/** ADD with its WorkloadEndpoint; undefined when there was no answer, or none was free. */
export async function add(
  world: MemoryStore,
  { name, allocator, store }: Node,
  pod: string,
): Promise<Ip | undefined> {
  const revision = (await world.get(endpointKey(pod)))?.revision ?? 0n;
  const outcome = await allocator.assign(
    request(`${HANDLE}${pod}`, {
      attributes: { node: name, pod, namespace: 'default' },
      alongside: (ips) => ({
        compares: [{ key: endpointKey(pod), revision }],
        writes: [endpointOf(name, pod, ips)],
      }),
    }),
  );
  return outcome.kind === 'assigned' && !store.dead ? outcome.ips[0] : undefined;
}

/** DEL with its WorkloadEndpoint; false when it is not known to have happened. */
export async function remove(
  world: MemoryStore,
  { allocator, store }: Node,
  pod: string,
): Promise<boolean> {
  const present = await world.get(endpointKey(pod));
  const alongside = {
    compares: [{ key: endpointKey(pod), revision: present?.revision ?? 0n }],
    writes: present ? [{ kind: 'delete', key: endpointKey(pod) } as const] : [],
  };
  const outcome = await allocator.release({ handleId: `${HANDLE}${pod}`, alongside });
  return outcome.kind === 'released' && !store.dead;
}

const endpointOf = (node: string, pod: string, ips: readonly Ip[]): Write => ({
  kind: 'put',
  key: endpointKey(pod),
  value: printResource({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name: pod, namespace: 'default' },
    spec: {
      orchestrator: 'k8s',
      node,
      endpoint: 'eth0',
      containerID: pod,
      ipNetworks: ips.map((ip) => `${ip}/32`),
    },
  }),
});

/** Every invariant, and every answered pod has its address and its endpoint. */
export async function checkWorld(
  world: MemoryStore,
  answered: ReadonlyMap<string, Ip>,
): Promise<void> {
  const { items } = await world.list(ROOT);
  assert.deepEqual(auditIpam(items), []);
  assert.deepEqual(leakedAddresses(items), []);
  assert.equal(new Set(answered.values()).size, answered.size, 'an address was answered twice');
  for (const [pod, ip] of answered) {
    const value = items.find(({ key }) => key === endpointKey(pod))?.value;
    assert.ok(value?.includes(`"${ip}/32"`), `${pod} has ${ip}`);
  }
}

/** After the last DEL nothing but empty blocks and their affinities is left. */
export async function checkEmpty(world: MemoryStore): Promise<void> {
  assert.deepEqual((await world.list(HANDLE_PREFIX)).items, []);
  const blocks = (await world.list(`${IPAM}assignment/`)).items;
  for (const { key, value } of blocks) assert.match(value, /"attributes":\[\]/, key);
}
