// CNI STATUS: could an ADD work now (CNI SPEC, section "STATUS"). 50: no; 51: no, and pods that exist
// may have limited connectivity.
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import type { CniRequest } from '../../cni/request.ts';
import { resourceKey } from '../../model/keys.ts';
import type { CniContext } from './context.ts';
import { callDelegate, isDelegated } from './delegate.io.ts';

/** As long as Calico's own test waits for the datastore. */
const DATASTORE_PATIENCE_MILLISECONDS = 2_000;

/** Answers an empty stdout. */
export async function tellStatus(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const { config } = request;
  const problem =
    policyProblem(context, request) ??
    (await datastoreProblem(context)) ??
    (isDelegated(request) ? undefined : addressProblem(context, config));
  if (problem) return fail(problem);
  return isDelegated(request) ? callDelegate(context, request, 'STATUS') : ok('');
}

function policyProblem({ policy }: CniContext, request: CniRequest): CniError | undefined {
  const { ready, problem } = policy.state();
  if (request.ipamOnly || ready) return undefined;
  const msg = `rules cannot be written: ${problem ?? 'the first ones are not yet'}`;
  return cniError('limitedConnectivity', msg);
}

async function datastoreProblem({ store }: CniContext): Promise<CniError | undefined> {
  const late = new AbortController();
  const patience = setTimeout(DATASTORE_PATIENCE_MILLISECONDS, 'late', { signal: late.signal });
  patience.catch(() => {}); // stopped below
  try {
    const answer = store.get(resourceKey('clusterinformations', 'default'));
    answer.catch(() => {}); // it may fail after we have gone
    if ((await Promise.race([answer, patience])) !== 'late') return undefined;
    return cniError('unavailable', 'the datastore does not answer');
  } catch (cause) {
    return cniError('unavailable', `the datastore cannot be reached: ${messageOf(cause)}`);
  } finally {
    late.abort();
  }
}

function addressProblem(
  { allocator }: CniContext,
  config: CniRequest['config'],
): CniError | undefined {
  const short =
    (config.assignIpv4 && allocator.shortage(4, config.ipv4Pools)) ||
    (config.assignIpv6 && allocator.shortage(6, config.ipv6Pools));
  return short ? cniError('unavailable', short) : undefined;
}
