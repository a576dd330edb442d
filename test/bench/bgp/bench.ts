// Our speaker's table and sessions against BIRD, FRR and GoBGP in the same run: the same feeders, the
// device under test pinned to one processor, and the resulting tables compared before a figure counts.
import { ensurePackages } from '../../cluster/packages.ts';
import { figure, median } from '../figures.ts';
import { measure, type Outcome } from './course.ts';
import { DEVICES, type Device, type DevicePlan } from './devices.ts';
import { networkBits } from './routes.ts';

interface Scenario {
  readonly name: string;
  readonly plan: DevicePlan;
  readonly against: readonly Device['name'][];
  /** Ours through theirs. */
  readonly goals: Partial<Readonly<Record<Device['name'], number>>>;
  readonly lingerMs?: number;
  readonly warmUps?: number;
  readonly rssGoalMib?: number;
}

const DEVICE = '10.99.0.1';
const AS = 64512;
const LIMIT_MS = 300_000;
const RUNS = Number(process.env['RUNS'] ?? 3);

/** Each peer announces so many prefixes of its own, and hears all the others'. */
function plan(peers: number, each: number, more: Partial<DevicePlan> = {}): DevicePlan {
  const reflector = more.reflector ?? false;
  return {
    device: DEVICE,
    deviceAsn: AS,
    holdTimeSeconds: 90,
    reflector,
    peers: Array.from({ length: peers }, (_, i) => ({
      address: `10.99.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`,
      asn: reflector ? AS : 65000 + i,
      first: i * each,
      count: each,
      awaits: (peers - 1) * each,
    })),
    ...more,
  };
}

/** One peer announces, the other listens. */
function oneWay(count: number): DevicePlan {
  const [from, to] = plan(2, count).peers as [DevicePlan['peers'][0], DevicePlan['peers'][0]];
  return {
    ...plan(2, count),
    peers: [
      { ...from, awaits: 0 },
      { ...to, first: 0, count: 0 },
    ],
  };
}

/** A member of a mesh: hears the others' blocks, and tells none of them on. */
function mesh(peers: number, each: number): DevicePlan {
  const all = plan(peers, each).peers.map((peer) => ({ ...peer, asn: AS, awaits: 0 }));
  // One peer of another AS shows when the last block has arrived.
  const [first, ...rest] = all;
  return {
    ...plan(peers, each),
    peers: [{ ...first!, asn: 65000, count: 0, awaits: (peers - 1) * each }, ...rest],
  };
}

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
];

/** Undefined: no session was lost, and each peer knows exactly what the others announced. */
function faultOf({ plan: { peers } }: Scenario, { tables, lost }: Outcome): string | undefined {
  if (lost.length > 0) return `lost ${lost.length} sessions: ${lost.slice(0, 3).join(', ')}`;
  const sum = (first: number, count: number): number => {
    let all = 0;
    for (let i = first; i < first + count; i++) all = (all + networkBits(i)) % 1_000_000_007;
    return all;
  };
  const sums = peers.map(({ first, count }) => sum(first, count));
  const total = sums.reduce((a, b) => (a + b) % 1_000_000_007, 0);
  for (const [i, { awaits }] of peers.entries()) {
    if (awaits === 0) continue;
    const expected = (total - sums[i]! + 1_000_000_007) % 1_000_000_007;
    const [count, found] = tables[i]!;
    if (count !== awaits || found !== expected)
      return `peer ${i} knows ${count} prefixes, not ${awaits}, or others`;
  }
  return undefined;
}

/** A text: why there is no figure. */
async function measureOne(scenario: Scenario, device: Device): Promise<Outcome | string> {
  const { plan, lingerMs = 0, warmUps = 0 } = scenario;
  try {
    const outcome = await measure(device, plan, { limitMs: LIMIT_MS, lingerMs, warmUps });
    return faultOf(scenario, outcome) ?? outcome;
  } catch (cause) {
    return (cause as Error).message;
  }
}

ensurePackages(['bird2', 'frr', 'gobgpd', 'iproute2']);
// ONLY=c- chooses scenarios, AGAINST=bird,gobgp the others that are measured, PROFILE=folder keeps
// processor profiles of ours.
const chosen = process.env['ONLY'];
const others = process.env['AGAINST']?.split(',');
for (const scenario of SCENARIOS) {
  if (chosen && !scenario.name.includes(chosen)) continue;
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
}
