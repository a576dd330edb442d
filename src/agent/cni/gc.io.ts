// CNI GC: every attachment of this node and network that the runtime does not list is deleted as DEL
// would; failures do not stop the others and are told together.
import { fail, ok, type Result } from '../../base/result.ts';
import { attachmentOf, staleAttachments } from '../../cni/attachments.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import type { Attachment, CniRequest } from '../../cni/request.ts';
import type { WorkloadEndpoint } from '../../model/workload-endpoint.ts';
import type { CniContext } from './context.ts';
import { deleteAttachment } from './del/delete.io.ts';
import { callDelegate, isDelegated } from './delegate.io.ts';
import { manageAddress } from './ipam-only.io.ts';

/** Answers an empty stdout. */
export async function collectGarbage(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const stale = staleAttachments({
    network: request.config.name,
    valid: request.attachments,
    endpoints: request.ipamOnly ? [] : context.view.endpoints.map(({ endpoint }) => endpoint),
    handles: [...context.allocator.handles().keys()],
  });
  const endpoints = new Set(context.view.endpoints.map(({ endpoint }) => keyOf(endpoint)));
  const failures: CniError[] = [];
  const attempt = async (work: Promise<Result<string, CniError>>): Promise<void> => {
    const done = await work;
    if (!done.ok) failures.push(done.error);
  };
  // What a call is at work on is no garbage.
  const inUse = ({ containerId }: Attachment): boolean =>
    context.turns.has({ containerId, ipamOnly: request.ipamOnly });
  for (const endpoint of stale.endpoints) {
    const attachment = attachmentOf(endpoint);
    if (inUse(attachment)) continue;
    const deletion = deletionOf(request, attachment, endpoint);
    await attempt(context.turns.take(deletion, () => deleteAttachment(context, deletion)));
  }
  for (const attachment of stale.addresses) {
    if (inUse(attachment)) continue;
    // An endpoint's address goes with the endpoint, which is another call's.
    if (endpoints.has(`${attachment.containerId}/${attachment.ifname}`)) continue;
    const deletion = deletionOf(request, attachment);
    await attempt(context.turns.take(deletion, () => manageAddress(context, deletion)));
  }
  // CNI SPEC, section "GC": a plugin must pass it on to the plugins that it delegates to.
  if (isDelegated(request)) await attempt(callDelegate(context, request, 'GC'));
  const [first] = failures;
  if (!first) return ok('');
  const msg = failures.map((failure) => failure.msg).join('; ');
  return fail(cniError('tryAgain', `GC: ${failures.length} could not be removed: ${msg}`));
}

const keyOf = (endpoint: WorkloadEndpoint): string => {
  const { containerId, ifname } = attachmentOf(endpoint);
  return `${containerId}/${ifname}`;
};

// As the runtime would have called; the namespace is gone or nobody's any more.
function deletionOf(
  request: CniRequest,
  attachment: Attachment,
  endpoint?: WorkloadEndpoint,
): CniRequest {
  const { spec, metadata } = endpoint ?? {};
  const pod = spec?.pod && { namespace: metadata?.namespace ?? '', name: spec.pod };
  return { ...request, command: 'DEL', ...attachment, netns: '', pod: pod || undefined };
}
