// The invariants of addresses on this node, looked at now and then while it runs: what lasts over two
// looks is said in the log once and counted in a metric. Nothing is repaired here.
import type { Log } from '../base/log.io.ts';
import { Gauge, type Registry } from '../base/metrics.io.ts';
import type { Allocator } from '../ipam/allocator.io.ts';
import { printResource } from '../model/resource.ts';
import type { DatastoreView } from './view.ts';

const EVERY_MILLISECONDS = 30_000;

export interface InvariantParts {
  readonly view: DatastoreView;
  readonly allocator: Allocator;
  readonly log: Log;
}

/** Looks again and again until the signal fires. */
export function watchInvariants(
  parts: InvariantParts,
  registry: Registry,
  signal: AbortSignal,
): void {
  const look = invariantCheck(parts);
  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const violations = gauge(
    'calico_ipam_invariant_violations',
    'Invariants of address management that do not hold in the blocks of this node',
    ['invariant'],
  );
  const lastRun = gauge(
    'calico_ipam_invariant_last_run_timestamp_seconds',
    'When the invariants were last looked at',
  );
  const timer = setInterval(() => {
    for (const [invariant, count] of countByInvariant(look())) violations.set({ invariant }, count);
    lastRun.setToCurrentTime();
  }, EVERY_MILLISECONDS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

// I6 is a rule of the collector's steps, which no state shows: it is judged there
// (controllers/ipam-gc/witness.ts).
const INVARIANTS = ['I1', 'I2', 'I3', 'I4', 'I5', 'I7', 'I8', 'structure'];

/** How many violations of each invariant; those without a number concern a block's structure. */
export function countByInvariant(violations: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map(INVARIANTS.map((name) => [name, 0]));
  for (const violation of violations) {
    const name = /^I\d(?=:)/.exec(violation)?.[0] ?? 'structure';
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** Each call is a look; it answers what was wrong at this one and at the one before. */
export function invariantCheck({ view, allocator, log }: InvariantParts): () => readonly string[] {
  let before: ReadonlySet<string> = new Set();
  let said: ReadonlySet<string> = new Set();
  return () => {
    const now = allocator.violations(
      view.endpoints.map(({ key, endpoint }) => ({ key, value: printResource(endpoint) })),
    );
    const lasting = now.filter((violation) => before.has(violation));
    for (const violation of lasting.filter((one) => !said.has(one)))
      log.error({ violation }, 'an invariant of address management does not hold');
    before = new Set(now);
    said = new Set(lasting);
    return lasting;
  };
}
