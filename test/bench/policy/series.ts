// Each measurement by its name.
import { setTimeout } from 'node:timers/promises';
import type { Store, Write } from '../../../src/datastore/store.ts';
import { figure, quantile } from '../figures.ts';
import { BenchAgent, type HeldUp } from './agent.ts';
import { emptyKernel, residentRules, restoreFloor } from './floor.ts';
import { Flow, flips, type WiredPod } from './flow.ts';
import {
  allowFrom,
  basics,
  EVERYTHING,
  LOCAL_PODS,
  localPods,
  podKey,
  podValue,
  policies,
  policyKey,
  policyValue,
  remotePods,
  together,
  type World,
} from './stored.ts';

export interface Bench {
  /** The bundled agent. */
  readonly program: string;
  readonly etcd: string;
  readonly store: Store;
  readonly client: WiredPod;
  readonly server: WiredPod;
}

const WRITES_MAX = 100;
const ROUNDS = Number(process.env['ROUNDS'] || 100);
const LOOP_GOAL = 20;
const IDLE_MILLISECONDS = Number(process.env['IDLE_SECONDS'] || 30) * 1000;
/** After this every table has been read back once. */
const CHECKS_MILLISECONDS = 40_000;
const REMOTE_PODS = 10_000;
const POLICIES = 1000;
const COLD_EXTRA_MILLISECONDS = 1000;
const KINDS_OF_FELIX = 4;

/** A rule of a policy that allows is two in the kernel: with those of 100 pods that makes 10,000 there. */
const flip = (bench: Bench): Promise<void> => flipAmong(bench, 'flip', 4);

/** 10,000 rules as policies have them. */
const flipLarge = (bench: Bench): Promise<void> => flipAmong(bench, 'flip-large', 10);

/** One policy of 1,000 with so many rules each is changed. */
async function flipAmong(bench: Bench, name: string, rules: number): Promise<void> {
  const { server, client } = bench;
  const world = together(localPods(LOCAL_PODS), policies(POLICIES, { rules }), remotePods(1000));
  await withAgent(bench, world, async (agent) => {
    const change = policyChange(bench);
    await change(false);
    const flow = new Flow(client, server);
    console.log(`${name}: ${residentRules()} rules in the kernel's filter table`);
    agent.beginProbe();
    try {
      tell(name, await flips(flow, ROUNDS, change));
    } finally {
      flow.close();
    }
    loop(name, await agent.endProbe());
  });
}

const policyChange =
  ({ store, server, client }: Bench) =>
  async (open: boolean): Promise<void> => {
    const rule = {
      ...allowFrom(`app == '${client.labels['app']}'`),
      action: open ? 'Allow' : 'Deny',
    };
    const value = policyValue('flip', `app == '${server.labels['app']}'`, [rule]);
    await store.transaction([], [{ kind: 'put', key: policyKey('flip'), value }]);
  };

function tell(
  name: string,
  { opened, closed }: { readonly opened: readonly number[]; readonly closed: readonly number[] },
): void {
  for (const [way, times] of [
    ['allow', opened],
    ['deny', closed],
  ] as const) {
    line(`${name}-to-${way}-p50`, quantile(times, 0.5), 'ms', 15);
    line(`${name}-to-${way}-p99`, quantile(times, 0.99), 'ms', 50);
  }
}

/** The label of a pod changes, and with it the members of 100 sets. */
async function labels(bench: Bench): Promise<void> {
  const { client, server, store } = bench;
  const sets = 100;
  const added: World = new Map();
  for (let n = 0; n < sets; n++) {
    const from = allowFrom(`moved == 'in' && name != 'n${n}'`);
    added.set(policyKey(`s${n}`), policyValue(`s${n}`, `app == 'server'`, [from]));
  }
  const world = together(localPods(LOCAL_PODS), policies(POLICIES), remotePods(1000), added);
  await withAgent(bench, world, async (agent) => {
    const write = async (open: boolean): Promise<void> => {
      const moved = { ...client.labels, moved: open ? 'in' : 'out' };
      const value = podValue({ ...client, labels: moved });
      await store.transaction([], [{ kind: 'put', key: podKey(client), value }]);
    };
    const flow = new Flow(client, server);
    agent.beginProbe();
    try {
      const { opened, closed } = await flips(flow, ROUNDS, write);
      line('label-change-100-sets-p99', quantile([...opened, ...closed], 0.99), 'ms', 50);
    } finally {
      flow.close();
    }
    loop('label-change', await agent.endProbe());
  });
}

/** A start on an empty kernel: 1,000 sets of 250 members. */
async function cold(bench: Bench): Promise<void> {
  const world = together(localPods(LOCAL_PODS), policies(POLICIES), remotePods(REMOTE_PODS));
  await fill(bench, world);
  const { settled, agent } = await coldStart(bench);
  try {
    loop('cold', await agent.endProbe());
    const floor = agent.paused(restoreFloor);
    const goal = 1.5 + COLD_EXTRA_MILLISECONDS / floor;
    console.log(figure('policy-cold-start', settled, floor, 'ms', goal));
    line('cold-rss', agent.memory().now, 'MiB', 300);
    line('cold-rss-peak', agent.memory().peak, 'MiB', 300);
    line('idle-cpu', await idle(agent), '%', 0.3);
  } finally {
    await agent.stop();
  }
}

/** The case that was measured on Felix. */
async function felix(bench: Bench): Promise<void> {
  const remote = remotePods(REMOTE_PODS, KINDS_OF_FELIX);
  const kinds = { kinds: KINDS_OF_FELIX };
  await fill(bench, together(localPods(LOCAL_PODS), policies(POLICIES, kinds), remote));
  const { settled, agent } = await coldStart(bench);
  const flow = new Flow(bench.client, bench.server);
  try {
    line('felix-cold-start', settled, 'ms', 1300);
    loop('felix', await agent.endProbe());
    const { opened, closed } = await flips(flow, ROUNDS, policyChange(bench));
    line('felix-flip-p50', quantile([...opened, ...closed], 0.5), 'ms', 15);
    line('felix-rss', agent.memory().now, 'MiB', 132);
    line('felix-rss-peak', agent.memory().peak, 'MiB', 132);
  } finally {
    flow.close();
    await agent.stop();
  }
}

async function coldStart(
  bench: Bench,
): Promise<{ readonly settled: number; readonly agent: BenchAgent }> {
  emptyKernel();
  const began = performance.now();
  const agent = new BenchAgent(bench.program, bench.etcd, { probeFromStart: true });
  return { settled: (await agent.ready()) - began, agent };
}

/** Percent of a processor while nothing happens. */
async function idle(agent: BenchAgent): Promise<number> {
  await setTimeout(CHECKS_MILLISECONDS);
  const before = agent.cpuSeconds();
  await setTimeout(IDLE_MILLISECONDS);
  return (100_000 * (agent.cpuSeconds() - before)) / IDLE_MILLISECONDS;
}

/** `bench <name> ours=<n><unit> goal<=<n>`. */
export const line = (name: string, ours: number, unit: string, goal: number): void =>
  console.log(
    `bench policy-${name} ours=${ours.toFixed(2)}${unit} goal<=${goal.toFixed(2)}${unit}`,
  );

function loop(name: string, { delay, own, ran }: HeldUp): void {
  line(`${name}-loop-delay`, delay, 'ms', LOOP_GOAL);
  line(`${name}-loop-own-delay`, own, 'ms', LOOP_GOAL);
  line(`${name}-loop-longest-turn`, ran, 'ms', LOOP_GOAL);
}

export const series: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  flip,
  'flip-large': flipLarge,
  labels,
  cold,
  felix,
};

const ours = /\/(?:workloadendpoints|networkpolicies)\//;

/** Stores the world in place of what was there; what agents wrote of themselves stays. */
export async function fill({ store, client, server }: Bench, world: World): Promise<void> {
  const all = together(
    basics(),
    world,
    new Map([client, server].map((pod) => [podKey(pod), podValue(pod)])),
  );
  const { items } = await store.list(EVERYTHING);
  const gone = items
    .filter(({ key }) => ours.test(key) && !all.has(key))
    .map(({ key }) => ({ kind: 'delete', key }) as const);
  const puts = [...all].map(([key, value]) => ({ kind: 'put', key, value }) as const);
  const writes: readonly Write[] = [...gone, ...puts];
  for (let at = 0; at < writes.length; at += WRITES_MAX)
    await store.transaction([], writes.slice(at, at + WRITES_MAX));
}

export async function withAgent(
  bench: Bench,
  world: World,
  work: (agent: BenchAgent) => Promise<void>,
): Promise<void> {
  await fill(bench, world);
  const agent = new BenchAgent(bench.program, bench.etcd);
  try {
    await agent.ready();
    await work(agent);
  } finally {
    for (const text of agent.complaints.slice(0, 5)) console.error(text);
    await agent.stop();
  }
}
