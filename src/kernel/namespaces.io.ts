// Synchronous work in another network namespace (5.5 us there and back). No await, no async fs and no
// net.connect inside: they would act in the home namespace. A socket made inside stays inside.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import { OpError } from '../base/op-error.ts';
import { check, libc } from './libc.io.ts';

const CLONE_NEWNET = 0x40000000;
let home: number | undefined;
let inside = false;

/** Opens a namespace; OpError ENOENT (2) when it is gone. */
export function openNetns(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    const errno = (cause as { errno?: number }).errno;
    throw new OpError(
      `open network namespace ${path}`,
      cause,
      errno === undefined ? undefined : -errno,
    );
  }
}

/** Runs `work` with this thread in the namespace of the descriptor. */
export function inNetns<T>(fd: number, work: () => T): T {
  assert(!inside, 'network namespaces are not entered twice');
  home ??= openSync('/proc/self/ns/net', 'r');
  if (libc.setns(fd, CLONE_NEWNET) < 0) {
    // EINVAL: the path exists but is no namespace any more (its mount is gone).
    throw new OpError('enter network namespace', 'it is not a network namespace', 2);
  }
  inside = true;
  try {
    return work();
  } finally {
    check('setns', libc.setns(home, CLONE_NEWNET) === 0 ? 0 : abort());
    inside = false;
  }
}

// Going on in the wrong namespace would configure the wrong machine.
function abort(): never {
  process.abort();
}

/** Runs `work` inside the namespace at `path`. */
export function inNetnsAt<T>(path: string, work: () => T): T {
  const fd = openNetns(path);
  try {
    return inNetns(fd, work);
  } finally {
    closeSync(fd);
  }
}

/** Whether a kernel has IPv6 in this thread's namespace. */
export const hasIpv6 = (): boolean => {
  try {
    return readFileSync('/proc/net/if_inet6', 'utf8') !== undefined;
  } catch {
    return false;
  }
};
