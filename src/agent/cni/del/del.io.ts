// CNI DEL: idempotent, needs no finished ADD. First the interface is cut off, then the address is freed
// durably, so that no address is given out while its old owner still answers. The WorkloadEndpoint is
// kept when it already belongs to a newer sandbox of the same pod, and so is that one's interface.
import { messageOf, OpError } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import { endpointIdentity } from '../../../cni/endpoint.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import * as plan from '../../../cni/plan.ts';
import { type CniRequest, handleIdOf } from '../../../cni/request.ts';
import type { AlongsideWrites } from '../../../ipam/allocator.io.ts';
import { type Ip, parseIp } from '../../../net/ip.ts';
import type { StoredEndpoint } from '../../view.ts';
import { refreshEndpoint } from '../add/assign.io.ts';
import type { CniContext } from '../context.ts';
import type { Departure } from './journal.io.ts';

const CONFLICTS_MAX = 5;

/** Answers an empty stdout. While the datastore is away, the release is put down in the journal. */
export async function deletePod(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const { key, hostInterface } = endpointIdentity(context.node, request);
  await context.failpoint('del:start');
  try {
    await deleteInterface(context, request, key, hostInterface);
  } catch (cause) {
    return fail(cniError('tryAgain', `the interface cannot be removed: ${String(cause)}`));
  }
  const departure = {
    handleId: handleIdOf(request),
    containerId: request.containerId,
    endpointKey: key,
  };
  await context.failpoint('del:cut');
  const problem = await release(context, departure);
  await context.failpoint('del:released');
  if (problem === undefined) return ok('');
  try {
    context.journal.record(departure);
    context.recoverSoon();
    context.log.warn({ ...departure, problem }, 'release put off until the datastore is back');
    return ok('');
  } catch (cause) {
    return fail(cniError('tryAgain', `${problem}; journal: ${messageOf(cause)}`));
  }
}

/** Carries out what DEL put off; answers how many. Throws OpError while the datastore is away. */
export async function replayJournal(context: CniContext): Promise<number> {
  const entries = context.journal.entries();
  for (const entry of entries) {
    const problem = await release(context, entry);
    if (problem !== undefined) throw new OpError('replay of releases', problem);
    context.journal.forget(entry.handleId);
  }
  return entries.length;
}

/** Address and endpoint, in one transaction. Answers why it was not possible. */
async function release(context: CniContext, departure: Departure): Promise<string | undefined> {
  const { endpointKey: key, handleId } = departure;
  for (let attempt = 1; ; attempt++) {
    const stored = context.view.endpoint(key);
    const ours = stored !== undefined && !belongsToAnother(stored, departure);
    // The compare holds even when we know of no endpoint: our view may be behind.
    const alongside: AlongsideWrites = {
      compares: [{ key, revision: stored?.revision ?? 0n }],
      writes: ours ? [{ kind: 'delete', key }] : [],
    };
    const outcome = await context.allocator.release({ handleId, alongside });
    if (outcome.kind === 'released') {
      if (ours) context.view.remove(key, stored.revision);
      if (ours) context.policy.removeEndpoint(key);
      forgetFlows(context, outcome.ips);
      return undefined;
    }
    if (outcome.kind === 'unavailable')
      return `the datastore cannot be reached: ${outcome.error.message}`;
    if (attempt === CONFLICTS_MAX) return 'the endpoint keeps changing';
    try {
      await refreshEndpoint(context, key);
    } catch (cause) {
      return `the datastore cannot be reached: ${messageOf(cause)}`;
    }
  }
}

function forgetFlows(context: CniContext, ips: readonly Ip[]): void {
  for (const ip of ips) {
    void context
      .forgetFlows(ip)
      .catch((cause) => context.log.warn({ ip, cause: String(cause) }, 'conntrack'));
  }
}

const belongsToAnother = (
  { endpoint }: StoredEndpoint,
  { containerId }: { readonly containerId: string },
): boolean => endpoint.spec.containerID !== undefined && endpoint.spec.containerID !== containerId;

const ENOENT = 2;

// The endpoint's record says whose the host interface is: then its routes go at once, so that the
// address may go to another pod, and the link soon. Else only what is inside the container's own
// namespace is surely this container's: the host's name is the pod's, which a newer sandbox may have.
async function deleteInterface(
  context: CniContext,
  request: CniRequest,
  key: string,
  hostInterface: string,
): Promise<void> {
  const { kernel, removal, view } = context;
  const stored = view.endpoint(key);
  const ours =
    stored !== undefined &&
    stored.endpoint.spec.containerID === request.containerId &&
    removal.mayBelongTo(hostInterface, request.containerId);
  const link = ours ? kernel.link(hostInterface) : undefined;
  if (link) {
    const addresses = (stored?.endpoint.spec.ipNetworks ?? []).flatMap(addressOf);
    const routes = addresses.map((ip) => plan.hostRoute(link.index, ip));
    kernel.apply(routes.map((route) => ({ kind: 'deleteRoute', route })));
    removal.doom(link);
    return;
  }
  if (request.netns) await deletedInside(context, request);
}

const addressOf = (network: string): readonly Ip[] => {
  const ip = parseIp(network.split('/')[0]!);
  return ip ? [ip] : [];
};

/** False: the namespace is gone, or holds no such interface. */
async function deletedInside(context: CniContext, request: CniRequest): Promise<boolean> {
  try {
    const inside = context.kernel.enter(request.netns);
    try {
      return await inside.deleteLink(request.ifname);
    } finally {
      inside.close();
    }
  } catch (cause) {
    if (cause instanceof OpError && cause.errno === ENOENT) return false;
    throw cause;
  }
}
