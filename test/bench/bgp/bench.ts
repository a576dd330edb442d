// Our speaker's table and sessions against BIRD, FRR and GoBGP in the same run: the same feeders, the
// device under test pinned to one processor, and the resulting tables compared before a figure counts.
import { ensurePackages } from '../../cluster/packages.ts';
import { figure, median } from '../figures.ts';
import { measure, type Outcome } from './course.ts';
import type { DeviceDelays } from './delays.ts';
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
  /** So long that it is measured only when asked for by name. */
  readonly onDemand?: true;
}

const LIMIT_MS = 300_000;
const RUNS = Number(process.env['RUNS'] ?? 3);

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

/** A text: why there is no figure. */
async function measureOne(scenario: Scenario, device: Device): Promise<Outcome | string> {
  const { plan, lingerMs = 0, warmUps = 0 } = scenario;
  try {
    const outcome = await measure(device, plan, { limitMs: LIMIT_MS, lingerMs, warmUps });
    return faultOf(plan, outcome) ?? outcome;
  } catch (cause) {
    return (cause as Error).message;
  }
}

ensurePackages(['bird2', 'frr', 'gobgpd', 'iproute2']);
// ONLY=c- chooses scenarios (ONLY=large the long ones too, ONLY=message the worst messages alone), AGAINST=bird,gobgp the others that are measured, PROFILE=folder keeps
// processor profiles of ours.
const chosen = process.env['ONLY'];
const others = process.env['AGAINST']?.split(',');
if (!chosen || 'message'.includes(chosen)) reportMessages();
for (const scenario of SCENARIOS) {
  if (chosen ? !scenario.name.includes(chosen) : scenario.onDemand) continue;
  const results = new Map<Device['name'], Outcome[]>();
  const against = scenario.against.filter((name) => others?.includes(name) ?? true);
  const devices = DEVICES.filter(({ name }) => name === 'ours' || against.includes(name));
  const excluded = new Set<Device['name']>();
  for (let round = 0; round < RUNS; round++)
    for (const device of devices) {
      if (excluded.has(device.name)) continue;
      const outcome = await measureOne(scenario, device);
      if (typeof outcome !== 'string')
        results.set(device.name, [...(results.get(device.name) ?? []), outcome]);
      else if (device.name === 'ours') throw new Error(`${scenario.name}: ours: ${outcome}`);
      else {
        // Its figure is void; ours counts.
        console.log(`bench bgp-${scenario.name} ${device.name}: void: ${outcome}`);
        excluded.add(device.name);
        results.delete(device.name);
      }
    }
  report(scenario, results);
}

function report(scenario: Scenario, results: ReadonlyMap<Device['name'], readonly Outcome[]>) {
  const middle = (name: Device['name'], read: (outcome: Outcome) => number): number =>
    median((results.get(name) ?? []).map(read));
  for (const [name] of results) {
    const words = [
      `converged=${middle(name, (o) => o.completeMs).toFixed(0)}ms`,
      ...(scenario.warmUps ? [`first=${middle(name, (o) => o.firstMs).toFixed(0)}ms`] : []),
      `cpu=${middle(name, (o) => o.cpuMs).toFixed(0)}ms`,
      `established=${middle(name, (o) => o.establishedMs).toFixed(0)}ms`,
      `rss=${middle(name, (o) => o.rssMib).toFixed(0)}MiB`,
      `silence=${middle(name, (o) => o.silenceMs).toFixed(0)}ms`,
    ];
    console.log(`bench bgp-${scenario.name} ${name}: ${words.join(' ')}`);
  }
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
  const worst = (read: (delays: DeviceDelays) => number): string =>
    Math.max(...results.get('ours')!.map(({ delays }) => read(delays!))).toFixed(1);
  const words = [
    `slice=${worst((d) => d.sliceMax)}ms`,
    `message=${worst((d) => d.messageMax)}ms`,
    `loop=${worst((d) => d.loopMax)}ms`,
    `loop-p99=${worst((d) => d.loopP99)}ms`,
  ];
  console.log(`bench bgp-${scenario.name}-delays ours: ${words.join(' ')} goal slice<=5ms`);
}
