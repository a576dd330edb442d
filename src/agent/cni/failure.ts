// Failures of a CNI call as CNI error values.
import { OpError } from '../../base/op-error.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import type { AssignOutcome } from '../../ipam/allocator.io.ts';

/** What a refused assignment means for the runtime. */
export function assignError(outcome: Exclude<AssignOutcome, { kind: 'assigned' }>): CniError {
  switch (outcome.kind) {
    case 'exhausted':
      return cniError('poolExhausted', outcome.message);
    case 'refused':
      return cniError('addressInUse', outcome.message);
    case 'conflict':
      return cniError('tryAgain', 'the endpoint was changed by another writer; try again');
    case 'unavailable':
      return cniError('tryAgain', `the datastore cannot be reached: ${outcome.error.message}`);
  }
}

const ENOENT = 2;

/** What was thrown: an absent namespace, a refusal of the world, or a fault of ours. */
export function errorOf(cause: unknown): CniError {
  if (cause instanceof OpError && cause.errno === ENOENT) {
    return cniError(
      'containerUnknown',
      `the container's network namespace cannot be opened: ${cause.message}`,
    );
  }
  if (cause instanceof OpError) return cniError('tryAgain', cause.message);
  return cniError('internal', cause instanceof Error ? cause.message : String(cause));
}
