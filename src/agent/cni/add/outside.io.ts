// Addresses that are not in Calico's IPAM: another IPAM plugin's, or those that a pod names itself
// where the configuration allows it.
import { ok, type Result } from '../../../base/result.ts';
import type { UndoList } from '../../../base/undo.ts';
import type { Wishes } from '../../../cni/annotations.ts';
import { delegateResult } from '../../../cni/delegate.ts';
import type { CniError } from '../../../cni/errors.ts';
import type { CniRequest } from '../../../cni/request.ts';
import { addressesIn, oneOfEach, type ResultRoute } from '../../../cni/result.ts';
import type { Fields } from '../../../cni/shape.ts';
import type { Ip } from '../../../net/ip.ts';
import type { CniContext } from '../context.ts';
import { callDelegate, isDelegated } from '../delegate.io.ts';

export interface Outside {
  /** At most one a family. */
  readonly ips: readonly Ip[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Fields;
}

/**
 * Undefined: Calico's IPAM gives the addresses. The plugin's DEL is pushed on the undo list before its
 * ADD runs (CNI SPEC, section "Plugin Delegation": after a failure the plugin must be deleted).
 */
export async function addressesOutside(
  context: CniContext,
  request: CniRequest,
  wishes: Wishes,
  { undo, overtaken }: { readonly undo: UndoList; readonly overtaken: AbortSignal },
): Promise<Result<Outside | undefined, CniError>> {
  if (wishes.addressesNoIpam.length > 0)
    return ok({ ips: wishes.addressesNoIpam, routes: [], dns: {} });
  if (!isDelegated(request)) return ok(undefined);
  undo.push('addresses of the IPAM plugin', async () => {
    const deleted = await callDelegate(context, request, 'DEL');
    if (!deleted.ok) throw new Error(deleted.error.msg);
  });
  const stdout = await callDelegate(context, request, 'ADD', overtaken);
  if (!stdout.ok) return stdout;
  const result = delegateResult(request.config.ipamType, stdout.value);
  if (!result.ok) return result;
  const { routes, dns } = result.value;
  return ok({ ips: oneOfEach(addressesIn(result.value)), routes, dns });
}
