// 10,000 learned prefixes into the kernel of a fresh namespace, beside `ip -batch` in the same run;
// the tables that both leave must be the same. Then what one changed prefix costs among them.
import assert from 'node:assert/strict';
import { promises as fs, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../src/base/clock.io.ts';
import { openLog } from '../../../src/base/log.io.ts';
import type { Kernel } from '../../../src/kernel/kernel.ts';
import { openKernelAt } from '../../../src/kernel/netns.io.ts';
import { cidr, cidrOf } from '../../../src/net/cidr.ts';
import { ip, ipFromValue } from '../../../src/net/ip.ts';
import type { LearnedPrefix } from '../../../src/routes/desired.ts';
import { Routing } from '../../../src/routes/routing.io.ts';
import { run, runAsync } from '../../lab/command.ts';
import { inFreshNetns } from '../../lab/netns.ts';
import { figure, median, quantile } from '../figures.ts';

const PREFIXES = 10_000;
const ROUNDS = 7;
const SINGLE_CHANGES = 200;
const HOPS = 100;

const hopOf = (i: number) => ip(`10.71.0.${2 + (i % HOPS)}`);
const LEARNED: readonly LearnedPrefix[] = Array.from({ length: PREFIXES }, (_, i) => ({
  prefix: cidrOf(ipFromValue(0xac10_0000n + BigInt(i * 64), 4), 26),
  nextHops: [hopOf(i)],
}));
const tableOf = (netns: string): string =>
  run(['ip', '-n', netns, 'route', 'show', 'proto', 'bird']);

/** A namespace with a link to the next hops. */
function connect(netns: string): void {
  for (const words of [
    'link add d1 type veth peer name p1',
    'link set d1 up',
    'link set p1 up',
    'addr add 10.71.0.1/24 dev d1',
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

async function ours(netns: string, path: string): Promise<Times> {
  const kernel = openKernelAt(path);
  const writes = countWrites(kernel);
  const own = { blackholes: [], held: new Set<never>() };
  const pools = [{ cidr: cidr('172.16.0.0/12'), ipip: 'Never', vxlan: 'Never' } as const];
  const demand = () => ({ own, pools, addresses: [] });
  const routing = new Routing({
    kernel,
    clock: systemClock,
    log: openLog('bench', 'fatal'),
    demand,
  });
  const filled = writes(PREFIXES);
  const start = performance.now();
  routing.changed();
  routing.learned(LEARNED);
  await filled;
  const fill = performance.now() - start;
  const table = tableOf(netns);
  const changes: number[] = [];
  for (let i = 0; i < SINGLE_CHANGES; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const { prefix } = LEARNED[(i * 37) % PREFIXES]!;
    const one = writes(1);
    const began = performance.now();
    routing.learned([{ prefix, nextHops: [hopOf(i + 50)] }]);
    await one;
    changes.push(performance.now() - began);
  }
  routing.close();
  kernel.close();
  expected ??= table;
  assert.equal(table, expected, 'the tables differ');
  return { fill, changes };
}

async function peer(netns: string, file: string): Promise<number> {
  const start = performance.now();
  await runAsync(['ip', '-n', netns, '-batch', file]);
  const took = performance.now() - start;
  expected ??= tableOf(netns);
  assert.equal(tableOf(netns), expected, 'the tables differ');
  return took;
}

let expected: string | undefined;

async function main(): Promise<void> {
  await fs.readFile('/proc/self/comm'); // libuv's pool starts in the home namespace
  const directory = mkdtempSync(join(tmpdir(), 'ckt-routes-'));
  const file = join(directory, 'batch');
  const lines = LEARNED.map((l) => `route add ${l.prefix} via ${l.nextHops[0]} proto bird`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  const [fills, peers, changes]: [number[], number[], number[]] = [[], [], []];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const prefix = `ckt-rb-${process.pid}-${round}`;
      await inFreshNetns(prefix, 2, async ([a, b], [path]) => {
        connect(a!);
        connect(b!);
        const times = await ours(a!, path!);
        fills.push(times.fill);
        changes.push(...times.changes);
        peers.push(await peer(b!, file));
      });
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.log(figure('routes-10k', median(fills), median(peers), 'ms', 1.2));
  const [half, most] = [quantile(changes, 0.5), quantile(changes, 0.99)];
  console.log(`one prefix of 10,000 changes: ${half.toFixed(2)} ms, p99 ${most.toFixed(2)} ms`);
}

await main();
