// `calico-ipam` under another main plugin: an address and nothing else. That plugin makes the
// interface; here is no endpoint, no route and no policy.
import { fail, ok, type Result } from '../../base/result.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import { printIpamResult } from '../../cni/ipam-result.ts';
import { type CniRequest, handleIdOf } from '../../cni/request.ts';
import { MAIN_PLUGIN } from '../../model/ipam.ts';
import type { CniContext } from './context.ts';
import { settleFlows } from './del/flow-removal.io.ts';
import { assignError } from './failure.ts';

const NO_MORE = { compares: [], writes: [] };

/** Answers the IPAM result JSON for ADD, an empty stdout for DEL and CHECK. */
export async function manageAddress(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const handleId = handleIdOf(request);
  switch (request.command) {
    case 'CHECK': {
      const held = context.allocator.addressesOf(handleId).length > 0;
      const msg = `CHECK: no address is allocated to ${handleId}`;
      return held ? ok('') : fail(cniError('internal', msg));
    }
    case 'DEL': {
      const released = await context.allocator.release({ handleId });
      const msg = 'the datastore cannot be reached or keeps changing; try again';
      if (released.kind !== 'released') return fail(cniError('tryAgain', msg));
      for (const ip of released.ips) context.flows.add(ip);
      return ok('');
    }
    default:
      return assignOnly(context, request, handleId);
  }
}

async function assignOnly(
  context: CniContext,
  request: CniRequest,
  handleId: string,
): Promise<Result<string, CniError>> {
  const { config, pod, requestedIp } = request;
  const namespace = pod && (await namespaceOf(context, pod.namespace));
  const outcome = await context.allocator.assign({
    handleId,
    attributes: {
      node: context.node,
      timestamp: context.clock.date().toISOString(),
      ...(pod ? { namespace: pod.namespace, pod: pod.name } : {}),
      ...(config.type && !config.type.startsWith('calico') ? { [MAIN_PLUGIN]: config.type } : {}),
    },
    count4: config.assignIpv4 ? 1 : 0,
    count6: config.assignIpv6 ? 1 : 0,
    pools4: config.ipv4Pools,
    pools6: config.ipv6Pools,
    ...(requestedIp ? { requested: [requestedIp] } : {}),
    ...(namespace ? { namespace } : {}),
    alongside: () => NO_MORE,
  });
  if (outcome.kind !== 'assigned') return fail(assignError(outcome));
  await settleFlows(context, outcome.ips);
  return ok(printIpamResult(config, outcome.ips, context.view.pools));
}

// Pools may select it; without it only those that select every namespace remain.
async function namespaceOf({ pods }: CniContext, name: string) {
  const found = await pods?.namespace(name).catch(() => undefined);
  return found && { name, labels: found.metadata.labels ?? {} };
}
