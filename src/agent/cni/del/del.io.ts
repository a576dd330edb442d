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
import type { Kernel, Link } from '../../../kernel/kernel.ts';
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
    await context.failpoint('del:journalled');
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
      // Those of another IPAM plugin are in the endpoint alone.
      const named = ours ? addressesOf(stored) : [];
      for (const ip of [...outcome.ips, ...named]) context.flows.add(ip);
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

const belongsToAnother = (
  { endpoint }: StoredEndpoint,
  { containerId }: { readonly containerId: string },
): boolean => endpoint.spec.containerID !== undefined && endpoint.spec.containerID !== containerId;

// The endpoint's record says whose the host interface is: then its routes go at once, so that the
// address may go to another pod, and the link soon. Without a record it is what an unfinished ADD left,
// this container's if its other end is in this container's namespace: another container may have the
// namespace's path by now, and a newer sandbox of the pod the host interface's name.
async function deleteInterface(
  { kernel, removal, view }: CniContext,
  request: CniRequest,
  key: string,
  hostInterface: string,
): Promise<void> {
  const stored = view.endpoint(key);
  const { containerID, interfaceName } = stored?.endpoint.spec ?? {};
  const isRecorded = containerID === request.containerId;
  const name = (isRecorded ? interfaceName : undefined) ?? hostInterface;
  if (!removal.mayBelongTo(name, request.containerId)) return;
  if (isRecorded) {
    const link = removal.madeFor(name, request.containerId) ?? kernel.link(name);
    if (!link) return;
    removal.doom(
      link,
      addressesOf(stored).map((ip) => plan.hostRoute(link.index, ip)),
    );
    return;
  }
  const link = kernel.link(name);
  if (!link || containerID !== undefined) return;
  if (leadsInto(kernel, link, request)) await removal.remove(name);
}

const addressesOf = (stored: StoredEndpoint | undefined): readonly Ip[] =>
  (stored?.endpoint.spec.ipNetworks ?? []).flatMap((network) => {
    const ip = parseIp(network.split('/')[0]!);
    return ip ? [ip] : [];
  });

const ENOENT = 2;

/** Whether the link's other end is the interface in the container's namespace. */
function leadsInto(kernel: Kernel, host: Link, { netns, ifname }: CniRequest): boolean {
  if (netns === '') return false;
  try {
    const inside = kernel.enter(netns);
    try {
      const link = inside.link(ifname);
      return link?.index === host.peerIndex && link?.peerIndex === host.index;
    } finally {
      inside.close();
    }
  } catch (cause) {
    if (cause instanceof OpError && cause.errno === ENOENT) return false;
    throw cause;
  }
}
