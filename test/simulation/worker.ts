// Runs the seeds it is sent and answers their outcomes; no seeds: it is done.
import { parentPort } from 'node:worker_threads';
import { type Outcome, simulate } from './simulate.ts';

interface Share {
  readonly seeds: readonly number[];
  readonly operations: number;
}

parentPort?.on('message', ({ seeds, operations }: Share) => {
  void run(seeds, operations).then((outcomes) => parentPort?.postMessage(outcomes));
});

async function run(seeds: readonly number[], operations: number): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const seed of seeds) {
    const outcome = await simulate(seed, operations);
    outcomes.push(outcome.violations.length > 0 ? outcome : { ...outcome, tail: [] });
  }
  return outcomes;
}
