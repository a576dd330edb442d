// CNI DEL with its IPAM plugin's, which always runs (CNI SPEC, section "Plugin Delegation").
import type { Result } from '../../../base/result.ts';
import type { CniError } from '../../../cni/errors.ts';
import type { CniRequest } from '../../../cni/request.ts';
import type { CniContext } from '../context.ts';
import { callDelegate, isDelegated } from '../delegate.io.ts';
import { deletePod } from './del.io.ts';

/** Answers an empty stdout. */
export async function deleteAttachment(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  const deleted = await deletePod(context, request);
  if (!isDelegated(request)) return deleted;
  await context.failpoint('del:delegating');
  const addresses = await callDelegate(context, request, 'DEL');
  return deleted.ok && !addresses.ok ? addresses : deleted;
}
