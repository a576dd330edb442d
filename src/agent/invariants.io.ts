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
  let lasting = 0;
  new Gauge({
    name: 'ipam_invariant_violations',
    help: 'Invariants of address management that do not hold in the blocks of this node',
    registers: [registry],
    collect() {
      this.set(lasting);
    },
  });
  const timer = setInterval(() => {
    lasting = look().length;
  }, EVERY_MILLISECONDS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
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
