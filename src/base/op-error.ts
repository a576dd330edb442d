// The one form of an operating failure: which operation failed, and why. Protocol outcomes are
// values in unions, programmer errors are asserts; only what the world refuses is an OpError.

/** `op` names the operation with its object (`get /calico/x`), `cause` says why it failed. */
export class OpError extends Error {
  readonly op: string;
  /** Kernel errno where the failure came from the kernel. */
  readonly errno: number | undefined;

  constructor(op: string, cause: unknown, errno?: number) {
    super(`${op}: ${messageOf(cause)}`, { cause });
    this.name = 'OpError';
    this.op = op;
    this.errno = errno;
  }
}

/** The text of anything that was thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
