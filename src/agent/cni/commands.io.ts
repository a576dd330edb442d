// Which command a request is for.
import { fail, type Result } from '../../base/result.ts';
import { type CniError, cniError } from '../../cni/errors.ts';
import type { CniRequest } from '../../cni/request.ts';
import { addPod } from './add/add.io.ts';
import { checkPod } from './check.io.ts';
import type { CniContext } from './context.ts';
import { deleteAttachment } from './del/delete.io.ts';
import { collectGarbage } from './gc.io.ts';
import { manageAddress } from './ipam-only.io.ts';
import { tellStatus } from './status.io.ts';

/** Carries out one request; answers what goes to stdout. */
export async function carryOut(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  switch (request.command) {
    case 'GC':
      return collectGarbage(context, request);
    case 'STATUS':
      return tellStatus(context, request);
    default:
      return context.turns.take(request, (overtaken) => attach(context, request, overtaken));
  }
}

async function attach(
  context: CniContext,
  request: CniRequest,
  overtaken: AbortSignal,
): Promise<Result<string, CniError>> {
  if (request.ipamOnly) return manageAddress(context, request);
  switch (request.command) {
    case 'ADD':
      return addPod(context, request, overtaken);
    case 'CHECK':
      return checkPod(context, request);
    default:
      return deleteAttachment(context, request);
  }
}

/** The answer while the agent cannot do anything yet. */
export const notYet = (request: CniRequest, error: CniError): Result<never, CniError> =>
  fail(request.command === 'STATUS' ? { ...error, code: cniError('unavailable', '').code } : error);
