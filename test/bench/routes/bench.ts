// Learned prefixes into the kernel of a fresh namespace, beside `ip -batch` in the same run: 10,000 over a link,
// and 1,000 blocks of other nodes over a tunnel. The tables that both leave must be the same. Then what one
// changed prefix costs among them. ONLY=link or tunnel.
import assert from 'node:assert/strict';
import { promises as fs, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.io.ts';
import { openLog } from '../../../src/base/log.io.ts';
import type { Kernel } from '../../../src/kernel/kernel.ts';
import { openKernelAt } from '../../../src/kernel/netns.io.ts';
import { cidr, cidrOf } from '../../../src/net/cidr.ts';
import { ipFromValue } from '../../../src/net/ip.ts';
import type { LearnedPrefix } from '../../../src/routes/desired.ts';
import { Routing } from '../../../src/routes/routing.io.ts';
import type { RoutePool } from '../../../src/routes/writer.ts';
import { run, runAsync } from '../../lab/command.ts';
import { inFreshNetns } from '../../lab/netns.ts';
import { figure, median, quantile } from '../figures.ts';

interface Case {
  readonly name: 'link' | 'tunnel';
  readonly figure: string;
  readonly prefixes: number;
  readonly rounds: number;
  readonly hops: number;
  readonly ipip: RoutePool['ipip'];
  /** What `ip` is told after a prefix and its next hop. */
  readonly words: string;
}

const CASES: readonly Case[] = [
  {
    name: 'link',
    figure: 'routes-10k',
    prefixes: 10_000,
    rounds: 7,
    hops: 100,
    ipip: 'Never',
    words: 'proto bird',
  },
  // Every block is another node's.
  {
    name: 'tunnel',
    figure: 'routes-tunnel-1k',
    prefixes: 1_000,
    rounds: 15,
    hops: 1_000,
    ipip: 'Always',
    words: 'dev tunl0 proto bird onlink',
  },
];
const SINGLE_CHANGES = 200;

const hopOf = ({ hops }: Case, i: number) => ipFromValue(0x0a47_0002n + BigInt(i % hops), 4);
const learnedOf = (one: Case): readonly LearnedPrefix[] =>
  Array.from({ length: one.prefixes }, (_, i) => ({
    prefix: cidrOf(ipFromValue(0xac10_0000n + BigInt(i * 64), 4), 26),
    nextHops: [hopOf(one, i)],
  }));
const tableOf = (netns: string): string =>
  run(['ip', '-n', netns, 'route', 'show', 'proto', 'bird']);

/** A namespace with a link to the next hops; any link of its name is the tunnel to routes. */
function connect(netns: string): void {
  for (const words of [
    'link add d1 type veth peer name p1',
    'link set d1 up',
    'link set p1 up',
    'addr add 10.71.0.1/16 dev d1',
    'link add tunl0 type veth peer name p2',
    'link set tunl0 up',
    'link set p2 up',
  ])
    run(['ip', '-n', netns, ...words.split(' ')]);
}

/** Answers when so many more changes are written. */
function countWrites(kernel: Kernel): (count: number) => Promise<void> {
  const apply = kernel.applyEach.bind(kernel);
  let [left, written] = [0, Promise.withResolvers<void>()];
  (kernel as { applyEach: Kernel['applyEach'] }).applyEach = (changes) => {
    const refused = apply(changes);
    assert.deepEqual(refused, []);
    left -= changes.length;
    if (left === 0) written.resolve();
    return refused;
  };
  return (count) => {
    left = count;
    written = Promise.withResolvers<void>();
    return written.promise;
  };
}

interface Times {
  readonly fill: number;
  /** Of single prefixes that changed. */
  readonly changes: readonly number[];
}

async function ours(one: Case, netns: string, path: string): Promise<Times> {
  const learned = learnedOf(one);
  const kernel = openKernelAt(path);
  const writes = countWrites(kernel);
  const own = { blackholes: [], held: new Set<never>() };
  const pools = [{ cidr: cidr('172.16.0.0/12'), ipip: one.ipip, vxlan: 'Never' } as const];
  const demand = () => ({ own, pools, addresses: [] });
  const routing = new Routing({
    kernel,
    clock: systemClock,
    log: openLog('bench', 'fatal'),
    demand,
  });
  const filled = writes(one.prefixes);
  const start = performance.now();
  routing.changed();
  routing.learned(learned);
  await filled;
  const fill = performance.now() - start;
  const table = tableOf(netns);
  const changes: number[] = [];
  for (let i = 0; i < SINGLE_CHANGES; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const { prefix } = learned[(i * 37) % one.prefixes]!;
    const written = writes(1);
    const began = performance.now();
    routing.learned([{ prefix, nextHops: [hopOf(one, i + 50)] }]);
    await written;
    changes.push(performance.now() - began);
  }
  routing.close();
  kernel.close();
  check(one, table);
  return { fill, changes };
}

async function peer(one: Case, netns: string, file: string): Promise<number> {
  const start = performance.now();
  await runAsync(['ip', '-n', netns, '-batch', file]);
  const took = performance.now() - start;
  check(one, tableOf(netns));
  return took;
}

const expected = new Map<Case, string>();

function check(one: Case, table: string): void {
  if (!expected.has(one)) expected.set(one, table);
  assert.equal(table, expected.get(one), 'the tables differ');
}

async function measure(one: Case): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ckt-routes-'));
  const file = join(directory, 'batch');
  const lines = learnedOf(one).map(
    ({ prefix, nextHops }) => `route add ${prefix} via ${nextHops[0]} ${one.words}`,
  );
  writeFileSync(file, `${lines.join('\n')}\n`);
  const [fills, peers, changes]: [number[], number[], number[]] = [[], [], []];
  try {
    for (let round = 0; round < one.rounds; round++) {
      const prefix = `ckt-rb-${process.pid}-${one.name}-${round}`;
      await inFreshNetns(prefix, 2, async ([a, b], [path]) => {
        connect(a!);
        connect(b!);
        const times = await ours(one, a!, path!);
        fills.push(times.fill);
        changes.push(...times.changes);
        peers.push(await peer(one, b!, file));
      });
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(figure(one.figure, median(fills), median(peers), 'ms', 1.2));
  const [half, most] = [quantile(changes, 0.5), quantile(changes, 0.99)];
  console.log(
    `one prefix of ${one.prefixes} changes: ${half.toFixed(2)} ms, p99 ${most.toFixed(2)} ms`,
  );
}

await fs.readFile('/proc/self/comm'); // libuv's pool starts in the home namespace
for (const one of CASES)
  if ([undefined, one.name].includes(process.env['ONLY'] as Case['name'] | undefined))
    await measure(one);
