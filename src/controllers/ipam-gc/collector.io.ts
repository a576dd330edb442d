// Garbage collection of addresses, as part of the node controller: looks now and then, frees what was
// without an owner at two looks that span the grace period, and looks once more just before. All of
// it is compare-and-swap: a second collector, or a node that uses the address again, does no harm.

import type { Registry } from '../../base/metrics.io.ts';
import { messageOf, OpError } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import type { KeyValue } from '../../datastore/store.ts';
import { type Allocator, openAllocator } from '../../ipam/allocator.io.ts';
import { releaseNode } from '../../ipam/release-node.io.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { IPAM, resourcePrefix } from '../../model/keys.ts';
import type { Controller } from '../controller.ts';
import { watchKind } from '../kind-watch.io.ts';
import type { ControllerParts } from '../reconcile.io.ts';
import { endBlocksRest, giveUpEmptyBlock } from './blocks.io.ts';
import { decide, type Observations, type Release } from './decide.ts';
import { type Allocation, type Facts, isNodeGone, machineIn } from './facts.ts';
import { gather, ordinalsOf, podFacts } from './gather.ts';
import { type IpamMetrics, measureIpam } from './metrics.io.ts';
import { CONFIGURATION_KEY, storedGrace } from './settings.ts';
import { deletionOf, endpointsOf } from './stale-endpoints.ts';
import { isValid } from './valid.ts';
import { type Freed, Witness } from './witness.ts';

export type CollectorParts = ControllerParts & {
  readonly kubernetes: KubernetesApi;
  readonly registry: Registry;
  /** Undefined: as stored in KubeControllersConfiguration. */
  readonly graceMilliseconds: number | undefined;
};

/** While there is no grace period, only rested addresses are looked after. */
const PERIOD_WITHOUT_GRACE_MILLISECONDS = 5 * 60_000;
/** Not in sync yet, or a grace period that is tiny. */
const PERIOD_MIN_MILLISECONDS = 500;

export function ipamCollector(parts: CollectorParts): Controller {
  const known = followCluster(parts);
  const state = { failure: undefined as string | undefined };
  void run(parts, known, state);
  return {
    get problem() {
      return known.problem();
    },
    get failing() {
      return state.failure === undefined ? [] : [`ipam (${state.failure})`];
    },
  };
}

type Known = ReturnType<typeof followCluster>;

function followCluster(parts: CollectorParts) {
  const keep = <K extends 'pods' | 'statefulsets' | 'nodes', T>(
    kind: K,
    read: (object: Parameters<Parameters<typeof watchKind<K>>[2]['put']>[0]) => T,
  ) => {
    const objects = new Map<string, T>();
    const nameOf = ({ namespace, name }: { namespace?: string; name: string }): string =>
      namespace === undefined ? name : `${namespace}/${name}`;
    const watch = watchKind(parts, kind, {
      snapshot: (all) => {
        objects.clear();
        for (const object of all) objects.set(nameOf(object.metadata), read(object));
      },
      put: (object) => void objects.set(nameOf(object.metadata), read(object)),
      gone: ({ metadata }) => void objects.delete(nameOf(metadata)),
    });
    return { objects, watch };
  };
  const pods = keep('pods', podFacts);
  const statefulSets = keep('statefulsets', ordinalsOf);
  const nodes = keep('nodes', () => true);
  const watches = [pods.watch, statefulSets.watch, nodes.watch];
  return {
    inSync: () => watches.every(({ inSync, problem }) => inSync && problem === undefined),
    problem: () => watches.find(({ problem }) => problem !== undefined)?.problem,
    cluster: () => ({
      pods: pods.objects,
      statefulSets: statefulSets.objects,
      nodes: new Set(nodes.objects.keys()),
    }),
  };
}

async function run(
  parts: CollectorParts,
  known: Known,
  state: { failure: string | undefined },
): Promise<void> {
  const { mirror, log, signal, clock } = parts;
  const metrics = measureIpam(parts.registry);
  const witness = new Witness();
  let observations: Observations = new Map();
  while (!signal.aborted) {
    const graceMilliseconds = parts.graceMilliseconds ?? storedGrace(mirror.get(CONFIGURATION_KEY));
    let period = graceMilliseconds / 2 || PERIOD_WITHOUT_GRACE_MILLISECONDS;
    try {
      if (!known.inSync() || !mirror.inSync || mirror.problem) period = PERIOD_MIN_MILLISECONDS;
      else {
        const items = (await parts.store.list(IPAM)).items;
        const facts = await withMachines(parts, factsNow(parts, known, items));
        const decision = decide(facts, observations, { now: clock.now(), graceMilliseconds });
        observations = decision.observations;
        witness.look(facts, clock.now());
        metrics.seen(facts, decision.candidates);
        const judge = (freed: Omit<Freed, 'graceMilliseconds'>): void =>
          tell(parts, metrics, witness.released({ ...freed, graceMilliseconds }));
        metrics.reclaimed(await releaseAll({ parts, known, items, judge }, decision.releases));
        for (const block of decision.emptyBlocks) await giveUpEmptyBlock(parts, items, block);
        for (const node of decision.forgottenNodes) await forget(parts, node);
        await endBlocksRest(parts, items);
      }
      state.failure = undefined;
    } catch (cause) {
      state.failure = messageOf(cause);
      log.warn({ cause: state.failure }, 'ipam: collecting failed; it will be tried again');
    }
    await pause(Math.max(period, PERIOD_MIN_MILLISECONDS), signal);
  }
}

const KINDS = ['workloadendpoints', 'nodes', 'ippools', 'ipreservations'] as const;

function factsNow({ mirror }: CollectorParts, known: Known, items: readonly KeyValue[]): Facts {
  const prefixes = KINDS.map((plural) => resourcePrefix(plural));
  const resources = mirror
    .keys()
    .filter((key) => prefixes.some((prefix) => key.startsWith(prefix)))
    .flatMap((key) => mirror.get(key) ?? []);
  return gather([...items, ...resources], known.cluster());
}

// KubeVirt is asked about VMs that an address is kept for: never, where there are none.
async function withMachines(
  { kubernetes }: CollectorParts,
  facts: Facts,
  allocations = facts.allocations,
): Promise<Facts> {
  const machines = new Set<string>();
  for (const name of new Set(allocations.flatMap((one) => machineIn(one) ?? []))) {
    const [namespace, machine] = name.split('/') as [string, string];
    if (await kubernetes.hasMachine(namespace, machine)) machines.add(name);
  }
  return { ...facts, machines };
}

// Nothing is repaired here: what was freed may be another's by now.
function tell({ log }: CollectorParts, metrics: IpamMetrics, wrong: readonly string[]): void {
  for (const violation of wrong)
    log.error({ violation }, 'an invariant of address management does not hold');
  metrics.broken(wrong.length);
}

interface Releasing {
  readonly parts: CollectorParts;
  readonly known: Known;
  readonly items: readonly KeyValue[];
  /** Hears of each release. */
  readonly judge: (freed: Omit<Freed, 'graceMilliseconds'>) => void;
}

async function releaseAll(
  { parts, known, items, judge }: Releasing,
  releases: readonly Release[],
): Promise<readonly Allocation[]> {
  if (releases.length === 0) return [];
  const { store, clock } = parts;
  const allocator = openAllocator({ store, node: 'kube-controllers', clock, upkeep: false });
  const freed: Allocation[] = [];
  try {
    await allocator.ready();
    for (const release of releases) {
      const fresh = await refreshed(parts, factsNow(parts, known, items), release);
      if (release.only.some((allocation) => isValid(fresh, allocation))) continue;
      const gone = await carryOut(parts, allocator, release);
      judge({ handle: release.handle, freed: gone, fresh });
      freed.push(...gone);
    }
  } finally {
    allocator.close();
  }
  return freed;
}

/** The facts that speak for a release, asked for once more at the API server. */
async function refreshed(parts: CollectorParts, facts: Facts, { only }: Release): Promise<Facts> {
  const { kubernetes } = parts;
  const pods = new Map(facts.pods);
  const kubernetesNodes = new Set(facts.kubernetesNodes);
  for (const allocation of only) {
    const { namespace, pod: name, node } = allocation.attributes;
    const pod = namespace && name ? await kubernetes.getPod(namespace, name) : undefined;
    if (pod) pods.set(`${namespace}/${name}`, podFacts(pod));
    else pods.delete(`${namespace}/${name}`);
    if (!isNodeGone(facts, allocation)) continue;
    const reference = facts.nodes.get(node!) ?? node!;
    if (await kubernetes.getNode(reference)) kubernetesNodes.add(reference);
  }
  return withMachines(parts, { ...facts, pods, kubernetesNodes }, only);
}

async function carryOut(
  { mirror, log }: CollectorParts,
  allocator: Allocator,
  { handle, only }: Release,
): Promise<readonly Allocation[]> {
  const items = mirror.keys().flatMap((key) => mirror.get(key) ?? []);
  const outcome = await allocator.release({
    handleId: handle,
    only: only.map(({ ip, sequenceNumber }) => ({
      ip,
      ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    })),
    alongside: deletionOf(endpointsOf(items, only)),
  });
  if (outcome.kind === 'unavailable') throw outcome.error;
  if (outcome.kind !== 'released') {
    log.info({ handle }, 'ipam: an address came into use again and stays');
    return [];
  }
  const { pod, namespace, node } = only[0]!.attributes;
  log.info({ handle, ips: outcome.ips, namespace, pod, node }, 'ipam: freed what nobody uses');
  return only.filter(({ ip }) => outcome.ips.includes(ip));
}

async function forget({ store, clock, log, kubernetes }: CollectorParts, node: string) {
  if (await kubernetes.getNode(node)) throw new OpError(`node ${node}`, 'it came back');
  const freed = await releaseNode(store, node, clock);
  log.info({ node, ...freed }, 'ipam: removed what an unknown node held');
}
