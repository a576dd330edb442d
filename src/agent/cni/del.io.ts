// CNI DEL: idempotent, needs no finished ADD. The address is freed durably before the answer; the
// WorkloadEndpoint is kept when it already belongs to a newer sandbox of the same pod.
import { OpError } from '../../base/op-error.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { endpointIdentity } from '../../cni/endpoint.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import { type CniRequest, handleIdOf } from '../../cni/request.ts';
import type { AlongsideWrites } from '../../ipam/allocator.io.ts';
import type { StoredEndpoint } from '../view.ts';
import { refreshEndpoint } from './assign.io.ts';
import type { CniContext } from './context.ts';

const CONFLICTS_MAX = 5;

/** Answers an empty stdout. */
export async function deletePod(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const identity = endpointIdentity(context.node, request);
  const released = await release(context, request, identity.key);
  if (!released.ok) return released;
  const { newerSandbox } = released.value;
  if (!newerSandbox) context.policy.removeEndpoint(identity.key);
  try {
    await deleteInterface(context, request, newerSandbox ? undefined : identity.hostInterface);
  } catch (cause) {
    return fail(cniError('tryAgain', `the interface cannot be removed: ${String(cause)}`));
  }
  return ok('');
}

async function release(
  context: CniContext,
  request: CniRequest,
  key: string,
): Promise<Result<{ newerSandbox: boolean }, CniError>> {
  for (let attempt = 1; ; attempt++) {
    const stored = context.view.endpoint(key);
    const newerSandbox = stored !== undefined && belongsToAnother(stored, request);
    const alongside: AlongsideWrites | undefined =
      stored && !newerSandbox
        ? { compares: [{ key, revision: stored.revision }], writes: [{ kind: 'delete', key }] }
        : undefined;
    const outcome = await context.allocator.release({
      handleId: handleIdOf(request),
      ...(alongside ? { alongside } : {}),
    });
    if (outcome.kind === 'released') {
      if (stored && !newerSandbox) context.view.remove(key, stored.revision);
      for (const ip of outcome.ips) {
        void context
          .forgetFlows(ip)
          .catch((cause) => context.log.warn({ ip, cause: String(cause) }, 'conntrack'));
      }
      return ok({ newerSandbox });
    }
    if (outcome.kind === 'unavailable') {
      return fail(
        cniError('tryAgain', `the datastore cannot be reached: ${outcome.error.message}`),
      );
    }
    if (attempt === CONFLICTS_MAX)
      return fail(cniError('tryAgain', 'the endpoint keeps changing; try again'));
    await refreshEndpoint(context, key);
  }
}

const belongsToAnother = ({ endpoint }: StoredEndpoint, request: CniRequest): boolean =>
  endpoint.spec.containerID !== undefined && endpoint.spec.containerID !== request.containerId;

const ENOENT = 2;

/** Both ends go with either one. An absent namespace or interface is success. */
async function deleteInterface(
  context: CniContext,
  request: CniRequest,
  hostInterface: string | undefined,
): Promise<void> {
  if (hostInterface && (await context.kernel.deleteLink(hostInterface))) return;
  if (!request.netns) return;
  try {
    const inside = context.kernel.enter(request.netns);
    try {
      await inside.deleteLink(request.ifname);
    } finally {
      inside.close();
    }
  } catch (cause) {
    if (!(cause instanceof OpError) || cause.errno !== ENOENT) throw cause;
  }
}
