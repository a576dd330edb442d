// `make simulate`: many seeds over the machine's cores, or one seed twice with its trace.
//   SEEDS=10000  how many    OPS=100  operations a seed    FROM=1  the first seed    WORKERS=2
//   SEED=n       one seed, run twice: the trace's tail, and whether both runs were the same
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Outcome, simulate } from './simulate.ts';

/** Seeds a worker gets at a time. */
const SHARE = 25;
const REPORT_EVERY = 1_000;
const FAILURES_MAX = 5;
const TAIL_LINES = 40;

const number = (name: string, otherwise: number): number => {
  const value = Number(process.env[name] || otherwise);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`${name}: ${process.env[name]} is no whole number`);
  process.exit(2);
};

const operations = number('OPS', 100);
const replay = (seed: number): string =>
  `make simulate SEED=${seed}${operations === 100 ? '' : ` OPS=${operations}`}`;

if (process.env['SEED']) process.exitCode = await one(number('SEED', 0));
else process.exitCode = await many(number('FROM', 1), number('SEEDS', 10_000));

async function one(seed: number): Promise<number> {
  const first = await simulate(seed, operations);
  const second = await simulate(seed, operations);
  for (const line of first.tail) console.log(line);
  for (const text of first.violations) console.error(`violation: ${text}`);
  const same = first.hash === second.hash;
  if (!same) console.error(`the second run differs: ${first.hash}, then ${second.hash}`);
  console.log(
    `seed ${seed}: ${first.operations} operations, ${first.commits} commits, ` +
      `${first.violations.length} violations, trace ${first.hash}${same ? ', the same twice' : ''}`,
  );
  return first.violations.length > 0 || !same ? 1 : 0;
}

async function many(from: number, count: number): Promise<number> {
  const started = process.hrtime.bigint();
  const seconds = (): number => Number(process.hrtime.bigint() - started) / 1e9;
  const sum = { seeds: 0, operations: 0, commits: 0, violations: 0, failed: 0 };
  const counts: Record<string, number> = {};
  const line = (): string =>
    `${sum.operations} operations over ${sum.seeds} seeds, ${sum.commits} commits, ` +
    `${sum.violations} violations in ${sum.failed} seeds, ${Math.round(seconds())} s ` +
    `(${Math.round(sum.operations / seconds())} operations/s)`;
  const taken = (outcome: Outcome): void => {
    sum.seeds++;
    sum.operations += outcome.operations;
    sum.commits += outcome.commits;
    sum.violations += outcome.violations.length;
    for (const [name, count] of Object.entries(outcome.counts))
      counts[name] = (counts[name] ?? 0) + count;
    if (outcome.violations.length > 0 && ++sum.failed <= FAILURES_MAX) report(outcome);
    if (sum.seeds % REPORT_EVERY === 0) console.log(line());
  };
  let next = from;
  const share = (): number[] => {
    const seeds = Math.min(SHARE, from + count - next);
    next += seeds;
    return Array.from({ length: seeds }, (_, i) => next - seeds + i);
  };
  const workers = Math.min(number('WORKERS', availableParallelism()), Math.ceil(count / SHARE));
  await Promise.all(Array.from({ length: workers }, () => work(share, taken)));
  const met = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  console.log(met.map(([name, count]) => `${name}: ${count}`).join(', '));
  console.log(line());
  return sum.violations > 0 ? 1 : 0;
}

function work(share: () => number[], taken: (outcome: Outcome) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url));
    const give = (): void => worker.postMessage({ seeds: share(), operations });
    worker.on('message', (outcomes: readonly Outcome[]) => {
      for (const outcome of outcomes) taken(outcome);
      if (outcomes.length > 0) give();
      else void worker.terminate().then(() => resolve());
    });
    worker.on('error', reject);
    give();
  });
}

function report({ seed, violations, tail }: Outcome): void {
  console.log(`\nseed ${seed}:`);
  for (const text of tail.slice(-TAIL_LINES)) console.log(`  ${text}`);
  for (const text of violations) console.log(`violation: ${text}`);
  console.log(`replay: ${replay(seed)}\n`);
}
