// Our speaker's table and sessions against BIRD, FRR and GoBGP in the same run: the same feeders, the
// device under test pinned to one processor, and the resulting tables compared before a figure counts.
// Then routes into the kernel and nodes that join, which are benches of their own too. It all takes
// about a quarter of an hour: who is not done in a minute has no time, but a bound of it. Ours starts as the
// program does: with its flags of V8, and warmed up (src/bgp/warm-up.ts) before it listens. `first` is what a
// process that has never had a route of a peer takes.
//
// ONLY=c- chooses scenarios by a part of their names (ONLY=large: the long ones, ONLY=message: the worst
// messages alone), AGAINST=bird,gobgp the others that are measured, RUNS= how often, PROFILE=folder keeps
// processor profiles of ours.
import { ensurePackages } from '../../cluster/packages.ts';
import { figure, median } from '../figures.ts';
import { Late, measure, type Outcome } from './course.ts';
import { DEVICES, type Device, type DevicePlan } from './devices.ts';
import { faultOf } from './fault.ts';
import { reportMessages } from './messages.ts';
import { flood, mesh, oneWay, plan } from './plans.ts';

interface Scenario {
  readonly name: string;
  readonly plan: DevicePlan;
  readonly against: readonly Device['name'][];
  /** Ours through theirs. */
  readonly goals: Partial<Readonly<Record<Device['name'], number>>>;
  readonly lingerMs?: number;
  readonly warmUps?: number;
  readonly rssGoalMib?: number;
  /** Absent: RUNS. */
  readonly rounds?: number;
  /** So long that it is measured only when asked for by name. */
  readonly onDemand?: true;
}

/** Ours must be done; another's time counts as longer than what it was given. */
const LIMIT_MS = 120_000;
const PEER_LIMIT_MS = 60_000;
const RUNS = Number(process.env['RUNS'] ?? 3);
/** GoBGP takes minutes where others take seconds: once says enough. */
const RUNS_AT_MOST: Partial<Readonly<Record<Device['name'], number>>> = { gobgp: 1 };

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a-10x10000',
    plan: plan(10, 10_000),
    against: ['bird', 'frr', 'gobgp'],
    goals: { bird: 1.5, gobgp: 0.5 },
  },
  {
    name: 'a-100x1000',
    plan: plan(100, 1000),
    against: ['bird', 'frr', 'gobgp'],
    goals: { bird: 1.5, gobgp: 0.5 },
  },
  {
    name: 'b-100000',
    plan: oneWay(100_000),
    against: ['bird', 'frr', 'gobgp'],
    goals: { bird: 2 },
    warmUps: 2,
  },
  {
    name: 'c-reflector-500x28',
    plan: plan(500, 28, { reflector: true, holdTimeSeconds: 9 }),
    against: ['bird', 'frr', 'gobgp'],
    goals: { gobgp: 1 },
    lingerMs: 20_000,
    rounds: 1,
  },
  {
    name: 'd-mesh-200',
    plan: mesh(201, 4),
    against: ['bird'],
    goals: {},
    lingerMs: 5000,
    rssGoalMib: 150,
  },
  { name: 'isolation-1000000', plan: flood(1_000_000), against: [], goals: {} },
  {
    name: 'large-100x10000',
    plan: plan(100, 10_000),
    against: ['bird', 'frr'],
    goals: { bird: 1, frr: 1 },
    onDemand: true,
  },
  {
    name: 'large-reflector-2500x28',
    plan: plan(2500, 28, { reflector: true, holdTimeSeconds: 9 }),
    against: ['gobgp'],
    goals: { gobgp: 1 },
    lingerMs: 20_000,
    onDemand: true,
  },
  {
    name: 'large-reflector-1400x1',
    plan: plan(1400, 1, { reflector: true }),
    against: [],
    goals: {},
    rssGoalMib: 200,
    onDemand: true,
  },
  {
    name: 'large-mesh-999',
    plan: mesh(1000, 1),
    against: [],
    goals: {},
    rssGoalMib: 256,
    onDemand: true,
  },
];

type Results = Map<Device['name'], Outcome[]>;

/** A text: why there is no figure. */
async function measureOne(
  scenario: Scenario,
  device: Device,
  more: { readonly watched?: true } = {},
): Promise<Outcome | Late | string> {
  const { plan, lingerMs = 0, warmUps = 0 } = scenario;
  const limitMs = device.name === 'ours' ? LIMIT_MS : PEER_LIMIT_MS;
  try {
    const outcome = await measure(device, plan, { limitMs, lingerMs, warmUps, ...more });
    return faultOf(plan, outcome) ?? outcome;
  } catch (cause) {
    return cause instanceof Late ? cause : (cause as Error).message;
  }
}

ensurePackages(['bird2', 'frr', 'gobgpd', 'iproute2']);
const chosen = process.env['ONLY'];
const others = process.env['AGAINST']?.split(',');
if (!chosen || 'message'.includes(chosen)) reportMessages();
for (const scenario of SCENARIOS)
  if (chosen ? scenario.name.includes(chosen) : !scenario.onDemand) await compare(scenario);
if (!chosen) {
  console.log('bench bgp-e: 10,000 prefixes into the kernel');
  await import('../routes/bench.ts');
  console.log('bench bgp-f: a node joins');
  await import('../join/bench.ts');
}

async function compare(scenario: Scenario): Promise<void> {
  const results: Results = new Map();
  const against = scenario.against.filter((name) => others?.includes(name) ?? true);
  const devices = DEVICES.filter(({ name }) => name === 'ours' || against.includes(name));
  const excluded = new Set<Device['name']>();
  const rounds = Math.min(scenario.rounds ?? RUNS, RUNS);
  for (let round = 0; round < rounds; round++)
    for (const device of devices) {
      const { name } = device;
      if (excluded.has(name) || round >= (RUNS_AT_MOST[name] ?? rounds)) continue;
      const outcome = await measureOne(scenario, device);
      if (typeof outcome !== 'string' && !(outcome instanceof Late)) {
        results.set(name, [...(results.get(name) ?? []), outcome]);
        tell(scenario, name, [outcome]);
        continue;
      }
      const why = typeof outcome === 'string' ? outcome : outcome.message;
      if (name === 'ours') throw new Error(`${scenario.name}: ours: ${why}`);
      // Its figure is void, or nothing but a bound; ours counts.
      console.log(`bench bgp-${scenario.name} ${name}: void: ${why}`);
      excluded.add(name);
      results.delete(name);
      if (outcome instanceof Late) bound(scenario, name, outcome, results);
    }
  report(scenario, results);
  await tellDelays(scenario);
}

/** Somebody was not done within the limit: ours is better than so much. */
function bound(scenario: Scenario, name: Device['name'], { ms }: Late, results: Results): void {
  const goal = scenario.goals[name];
  const ours = median((results.get('ours') ?? []).map(({ completeMs }) => completeMs));
  if (goal === undefined) return;
  const words = `ours=${ours.toFixed(2)}ms peer>${ms.toFixed(0)}ms ratio<${(ours / ms).toFixed(3)}`;
  console.log(`bench bgp-${scenario.name}-${name} ${words} goal<=${goal.toFixed(2)}`);
}

/** What a device did; the middle of several times. */
function tell(scenario: Scenario, name: Device['name'], outcomes: readonly Outcome[]): void {
  const middle = (read: (outcome: Outcome) => number): string =>
    median(outcomes.map(read)).toFixed(0);
  const words = [
    `converged=${middle((o) => o.completeMs)}ms`,
    ...(scenario.warmUps ? [`first=${middle((o) => o.firstMs)}ms`] : []),
    `cpu=${middle((o) => o.cpuMs)}ms`,
    `established=${middle((o) => o.establishedMs)}ms`,
    `rss=${middle((o) => o.rssMib)}MiB`,
    `silence=${middle((o) => o.silenceMs)}ms`,
  ];
  const which = outcomes.length > 1 ? ` (median of ${outcomes.length})` : '';
  console.log(`bench bgp-${scenario.name} ${name}: ${words.join(' ')}${which}`);
}

function report(scenario: Scenario, results: Results): void {
  for (const [name, outcomes] of results) if (outcomes.length > 1) tell(scenario, name, outcomes);
  const middle = (name: Device['name'], read: (outcome: Outcome) => number): number =>
    median((results.get(name) ?? []).map(read));
  const ratio = (to: Device['name'], goal: number, word: string, read: (o: Outcome) => number) => {
    const id = `bgp-${scenario.name}-${to}${word}`;
    console.log(figure(id, middle('ours', read), middle(to, read), 'ms', goal));
  };
  for (const [name, goal] of Object.entries(scenario.goals) as [Device['name'], number][]) {
    if (!results.has(name)) continue;
    ratio(name, goal, '', (o) => o.completeMs);
    if (scenario.warmUps) ratio(name, goal, '-first', (o) => o.firstMs);
  }
  const { rssGoalMib } = scenario;
  const rss = middle('ours', (o) => o.rssMib).toFixed(0);
  if (rssGoalMib)
    console.log(`bench bgp-${scenario.name}-rss ours=${rss}MiB goal<=${rssGoalMib}MiB`);
}

/** By a run of its own: to look at the clock so often would cost the others a sixth of their time. */
async function tellDelays(scenario: Scenario): Promise<void> {
  const outcome = await measureOne(scenario, DEVICES[0]!, { watched: true });
  if (typeof outcome === 'string' || outcome instanceof Late)
    throw new Error(`${scenario.name}, watched: ${outcome}`);
  const d = outcome.delays!;
  const words = [
    `slice=${d.sliceMax.toFixed(1)}ms`,
    `slice-cpu=${d.sliceCpuMax.toFixed(1)}ms`,
    `slices>5ms=${d.slicesLong}/${d.slices}`,
    `message=${d.messageMax.toFixed(1)}ms`,
    `message-cpu=${d.messageCpuMax.toFixed(1)}ms`,
    `loop=${d.loopMax.toFixed(1)}ms`,
    `loop-p99=${d.loopP99.toFixed(1)}ms`,
  ];
  console.log(`bench bgp-${scenario.name}-delays ours: ${words.join(' ')} goal slice<=5ms`);
}
