// One seed: operations amid faults, then peace, in which everything must come to its end.
import { setImmediate } from 'node:timers/promises';
import { withoutAmbient } from './ambient.ts';
import { Cluster } from './cluster.ts';
import { Container, type Keeper, type Phase } from './container.ts';
import { halfDone } from './foreign.ts';
import type { Faults } from './plan.ts';
import { comeToRest } from './rest.ts';

export interface Outcome {
  readonly seed: number;
  /** Of everything that happened: equal for equal seeds. */
  readonly hash: string;
  readonly operations: number;
  readonly commits: number;
  /** How often things happened, by name. */
  readonly counts: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
  /** The last lines of what happened. */
  readonly tail: readonly string[];
}

/** `faults` take the place of those that the seed draws. */
export async function simulate(
  seed: number,
  operations: number,
  faults: Partial<Faults> = {},
): Promise<Outcome> {
  const stray: string[] = [];
  const caught = (cause: unknown): void => void stray.push(`unhandled: ${String(cause)}`);
  process.on('unhandledRejection', caught);
  const give = withoutAmbient();
  const cluster = new Cluster(seed, faults);
  const ran = { operations: 0 };
  try {
    await faultyTime(cluster, operations, ran);
    if (cluster.violations.length === 0) await comeToRest(cluster);
  } catch (cause) {
    cluster.violation(`thrown: ${cause instanceof Error ? cause.stack : String(cause)}`);
  } finally {
    give();
    await setImmediate();
    process.off('unhandledRejection', caught);
  }
  return {
    seed,
    hash: cluster.scheduler.trace.hash,
    operations: ran.operations,
    commits: cluster.commits,
    counts: cluster.scheduler.trace.counts,
    violations: [...cluster.violations, ...stray],
    tail: cluster.scheduler.trace.tail(),
  };
}

async function faultyTime(
  cluster: Cluster,
  operations: number,
  ran: { operations: number },
): Promise<void> {
  const { scheduler, random, plan } = cluster;
  let over = false;
  const step = (): void => {
    if (ran.operations >= operations) {
      over = true;
      return;
    }
    disturb(cluster);
    if (operate(cluster)) ran.operations++;
    const pause = random.chance(plan.burst) ? random.integer(0, 300) : random.integer(500, 50_000);
    scheduler.after(random.chance(plan.leisure) ? random.integer(0, 90_000_000) : pause, step);
  };
  scheduler.after(0, step);
  await scheduler.run(() => over || cluster.violations.length > 0);
}

function disturb(cluster: Cluster): void {
  const { random, plan, scheduler, network } = cluster;
  const node = random.of(cluster.nodes);
  if (random.chance(plan.faults.crash) && !node.leaving && node.process) {
    cluster.crash(node);
    cluster.restart(node);
    if (random.chance(0.4)) doom(cluster.containers.filter((c) => c.node === node));
  }
  if (random.chance(plan.faults.overlap) && !node.leaving && node.process && !node.former)
    cluster.overlap(node);
  if (random.chance(plan.faults.clockJump)) {
    node.clock.skewMilliseconds = random.of([-1, 0, 1]) * 86_400_000 + random.integer(0, 5_000);
    scheduler.trace.counted('clock jumped');
    cluster.note(`${node.name} clock off by ${node.clock.skewMilliseconds} ms`);
  }
  if (random.chance(plan.faults.outage)) {
    network.outageUntil = scheduler.now + random.integer(1_000, 10_000_000);
    cluster.note(`outage until ${network.outageUntil}`);
  }
  if (random.chance(plan.faults.foreign)) void halfDone(cluster, node);
  if (random.chance(plan.faults.settings)) cluster.changeSettings();
  if (random.chance(plan.faults.nodeRemoval) && cluster.removals === 0)
    void cluster.removeNode(node);
}

// The sandboxes went with the machine; the runtime deletes what it knows of.
function doom(containers: readonly Container[]): void {
  for (const container of containers) {
    if (container.phase === 'running' || container.phase === 'failed') container.phase = 'doomed';
  }
}

const isIn = (container: Container, phases: readonly Phase[]): boolean =>
  phases.includes(container.phase);

function operate(cluster: Cluster): boolean {
  const { random, runtime, plan } = cluster;
  const ready = cluster.nodes.filter((node) => node.process && !node.leaving);
  if (ready.length === 0) return false;
  const here = cluster.containers.filter((c) => c.node.process && !c.node.leaving);
  const alive = here.filter((c) => isIn(c, ['running', 'adding', 'failed', 'deleting', 'doomed']));
  const crowded = alive.length >= plan.wanted;
  const kind = random.weighted({
    add: crowded ? 1 : 10,
    requested: 1,
    pool: 1,
    keep: 1,
    stale: 0.5,
    again: 1,
    retry: 2,
    remove: crowded ? 10 : 4,
    interrupt: 0.5,
    unknown: 0.3,
    giveUp: 0.2,
  });
  const chosen = (phases: readonly Phase[]): Container | undefined => {
    const some = alive.filter((c) => isIn(c, phases));
    return some.length > 0 ? random.of(some) : undefined;
  };
  const remove = (container: Container | undefined): boolean => {
    if (container) void runtime.remove(container);
    return container !== undefined;
  };
  switch (kind) {
    case 'remove':
      return remove(chosen(['doomed', 'running', 'failed']));
    case 'interrupt':
      return remove(chosen(['adding']));
    case 'unknown':
      return remove(newContainer(cluster));
    case 'again':
    case 'retry': {
      const container = chosen(kind === 'again' ? ['running'] : ['failed']);
      const busy = container?.keeper?.busy || cluster.promises.isWaived(container?.handle ?? '');
      if (container && !busy) void runtime.add(container);
      return container !== undefined && !busy;
    }
    case 'giveUp':
      return giveUp(cluster);
    case 'stale':
      return releaseStale(cluster);
    default: {
      const container = newContainer(cluster, kind);
      if (container) void runtime.add(container);
      return container !== undefined;
    }
  }
}

function newContainer(cluster: Cluster, kind = 'add'): Container | undefined {
  const { random, containers } = cluster;
  const node = random.of(cluster.nodes.filter((n) => n.process && !n.leaving));
  const id = `c${containers.length}`;
  const requested = kind === 'requested' ? cluster.anyAddress() : undefined;
  const keeper = kind === 'keep' ? random.of(cluster.keepers) : undefined;
  if (keeper && (keeper.busy || !isSuperseded(cluster, keeper))) return undefined;
  const pool = kind === 'pool' ? random.of(cluster.plan.pools) : undefined;
  const pod = keeper ? keeper.handle.split('default-')[1]! : random.chance(0.2) ? 'again' : id;
  const container = new Container(id, node, pod, { keeper, requested, pool });
  containers.push(container);
  return container;
}

// A StatefulSet makes a pod anew only when the former one is gone, or somebody took it away by force:
// then its node, which may not be reached, has it still.
function isSuperseded({ random, containers, scheduler }: Cluster, keeper: Keeper): boolean {
  const former = containers.filter((c) => c.keeper === keeper && c.phase !== 'gone');
  const forced = former.every((c) => isIn(c, ['running', 'failed', 'doomed']));
  if (former.length > 0 && !(forced && random.chance(0.5))) return false;
  if (former.length > 0) scheduler.trace.counted('moved by force');
  doom(former);
  return true;
}

// Somebody who saw a kept address in an earlier life asks for its release now: nothing may happen.
function releaseStale(cluster: Cluster): boolean {
  const { random, runtime, ledger } = cluster;
  const node = random.of(cluster.nodes.filter((n) => n.process && !n.leaving));
  const over = runtime.lives.filter(
    ({ ip, sequenceNumber }) => ledger.sequenceNumberOf(ip) !== sequenceNumber,
  );
  if (over.length === 0 || !node.process) return false;
  const { handle, ip, sequenceNumber } = random.of(over);
  cluster.note(`${node.name} collects ${ip} of ${handle} as of ${sequenceNumber}`);
  void node.process.allocator.release({ handleId: handle, only: [{ ip, sequenceNumber }] });
  return true;
}

// A kept address is given up by the operator, when no pod has it.
function giveUp(cluster: Cluster): boolean {
  const { random, containers, promises } = cluster;
  const keeper = random.of(cluster.keepers);
  const node = random.of(cluster.nodes.filter((n) => n.process && !n.leaving));
  const taken = containers.some((c) => c.keeper === keeper && c.phase !== 'gone');
  const late = cluster.plan.faults.lateRequest > 0; // an ADD that nobody waits for may come yet
  if (late || taken || keeper.busy || !node.process) return false;
  keeper.busy = true;
  promises.waived(keeper.handle, false);
  const { process } = node;
  cluster.note(`${process.connection.name} gives up ${keeper.handle}`);
  void process.allocator.release({ handleId: keeper.handle }).then(() => {
    keeper.busy = false;
  });
  cluster.scheduler.after(10_000_000, () => {
    if (process.dead) keeper.busy = false;
  });
  return true;
}
