// Synchronous work in another network namespace (5.5 us there and back). No await, no async fs and no
// net.connect inside: they would act in the home namespace. A socket made inside stays inside.
import { access, closeSync, openSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import { OpError } from '../base/op-error.ts';
import { errnoText, lastErrno, libc } from './libc.io.ts';

const CLONE_NEWNET = 0x40000000;
const EINVAL = 22;
const ENOENT = 2;
const HOME = '/proc/self/ns/net';
let home: number | undefined;
let inside = false;

// The threads of libuv's pool stay in the namespace of the thread that starts them. The first
// asynchronous call starts them all before it returns: here, at home, not later inside a section.
access(HOME, () => {});

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
  home ??= openSync(HOME, 'r');
  if (libc.setns(fd, CLONE_NEWNET) < 0) {
    const errno = lastErrno();
    // EINVAL: the path exists but is no namespace any more (its mount is gone).
    const gone = errno === EINVAL;
    const why = gone ? 'it is not a network namespace' : errnoText(errno);
    throw new OpError('enter network namespace', why, gone ? ENOENT : errno);
  }
  inside = true;
  try {
    return work();
  } finally {
    // Going on in the wrong namespace would configure the wrong machine.
    if (libc.setns(home, CLONE_NEWNET) !== 0) process.abort();
    inside = false;
  }
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
