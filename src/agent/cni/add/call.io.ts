// One ADD on its way, and the open namespace of its container.
import { type Stats, statSync } from 'node:fs';
import { messageOf, OpError } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import type { UndoList } from '../../../base/undo.ts';
import type { EndpointIdentity } from '../../../cni/endpoint.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import type { CniRequest } from '../../../cni/request.ts';
import type { Kernel } from '../../../kernel/kernel.ts';
import type { Mac } from '../../../net/mac.ts';
import type { CniContext } from '../context.ts';
import { errorOf } from '../failure.ts';
import type { Outside } from './outside.io.ts';
import type { Owner } from './owner.io.ts';

export interface Call {
  readonly context: CniContext;
  readonly request: CniRequest;
  readonly identity: EndpointIdentity;
  readonly owner: Owner;
  readonly mac: Mac;
  readonly mtu: number;
  /** Absent: Calico's IPAM gives the addresses. */
  readonly outside: Outside | undefined;
  readonly undo: UndoList;
  /** The container's namespace. */
  readonly inside: Kernel;
  /** Fires when DEL comes for the container: the runtime has given this call up. */
  readonly overtaken: AbortSignal;
}

/** The end of a step: a test may end the process here, and DEL ends the call. Throws OpError. */
export async function reach(
  { context, overtaken }: Pick<Call, 'context' | 'overtaken'>,
  name: string,
): Promise<void> {
  await context.failpoint(name);
  overtaken.throwIfAborted();
}

/** ENOENT: it is gone. EMFILE, ENFILE, ENOMEM: there is no room for one more now. */
const NOT_ITS_FAULT: ReadonlySet<number> = new Set([2, 23, 24, 12]);
const HOME = '/proc/self/ns/net';

/**
 * The container's namespace; the caller closes it. Errors: 3 it is gone, 4 CNI_NETNS names none, or the
 * node's own.
 */
export function openContainer(
  { kernel }: CniContext,
  { netns }: CniRequest,
): Result<Kernel, CniError> {
  if (isHome(netns)) {
    const msg = `CNI_NETNS ${netns} is the node's own network namespace, not a container's`;
    return fail(cniError('invalidEnvironment', msg));
  }
  try {
    return ok(kernel.enter(netns));
  } catch (cause) {
    if (cause instanceof OpError && NOT_ITS_FAULT.has(cause.errno ?? 0))
      return fail(errorOf(cause));
    const msg = `CNI_NETNS cannot be opened as a network namespace: ${messageOf(cause)}`;
    return fail(cniError('invalidEnvironment', msg));
  }
}

let home: Stats | undefined;

// The pod's default route would become the node's.
function isHome(netns: string): boolean {
  const there = statOf(netns);
  home ??= statOf(HOME); // a process keeps its own
  return there !== undefined && there.ino === home?.ino && there.dev === home.dev;
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // opening it tells why
  }
}
