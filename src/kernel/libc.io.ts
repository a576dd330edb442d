// The one door to the C library: about ten functions. Calls are synchronous; errno is read directly
// after a failure. `.async` runs a call on a pool thread.
import koffi from 'koffi';
import { OpError } from '../base/op-error.ts';

// Before the first call. The blocks of asynchronous calls are kept for as many as run beside each other
// in a burst of ADDs; made anew for each, they cost three times as much as the call.
koffi.config({
  ...koffi.config(),
  async_stack_size: 64 << 10,
  async_heap_size: 64 << 10,
  resident_async_pools: 32,
  max_async_calls: 4096,
});

const lib = koffi.load('libc.so.6');

type Call = ReturnType<typeof lib.func>;

/** A function that older C libraries lack. */
function optional(prototype: string): Call | undefined {
  try {
    return lib.func(prototype);
  } catch {
    return undefined;
  }
}

export const libc = {
  socket: lib.func('int socket(int, int, int)'),
  bind: lib.func('int bind(int, void *, uint32_t)'),
  connect: lib.func('int connect(int, void *, uint32_t)'),
  accept4: lib.func('int accept4(int, void *, void *, int)'),
  close: lib.func('int close(int)'),
  send: lib.func('int64_t send(int, void *, size_t, int)'), // koffi does not know ssize_t
  recv: lib.func('int64_t recv(int, void *, size_t, int)'),
  setsockopt: lib.func('int setsockopt(int, int, int, void *, uint32_t)'),
  getsockopt: lib.func('int getsockopt(int, int, int, void *, void *)'),
  socketpair: lib.func('int socketpair(int, int, int, void *)'),
  dup3: lib.func('int dup3(int, int, int)'),
  ioctl: lib.func('int ioctl(int, uint64_t, void *)'),
  setns: lib.func('int setns(int, int)'),
  flock: lib.func('int flock(int, int)'),
  sched_setscheduler: lib.func('int sched_setscheduler(int, int, void *)'),
  syscall: lib.func('int64_t syscall(int64_t, int, void *, uint32_t, uint32_t)'),
  // glibc 2.36: mounts that are in no file tree.
  fsopen: optional('int fsopen(str, uint32_t)'),
  fsconfig: optional('int fsconfig(int, uint32_t, void *, void *, int)'),
  fsmount: optional('int fsmount(int, uint32_t, uint32_t)'),
  // glibc's own.
  malloc_trim: optional('int malloc_trim(size_t)'),
};

export const AF = { UNIX: 1, INET: 2, INET6: 10, NETLINK: 16 } as const;
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;

const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: 'operation not permitted',
  2: 'no such file',
  3: 'not found',
  11: 'would block',
  13: 'permission denied',
  16: 'busy',
  17: 'exists',
  19: 'no such device',
  22: 'invalid argument',
  23: 'too many open files on this machine',
  24: 'too many open files',
  28: 'no space',
  34: 'out of range',
  95: 'not supported',
  97: 'address family not supported',
  98: 'address in use',
  99: 'address not available',
  100: 'network is down',
  101: 'network is unreachable',
  105: 'receive buffer overrun',
};

/** An errno in words. */
export const errnoText = (errno: number, detail = ''): string =>
  `${ERRNO_NAMES[errno] ?? 'failed'} (errno ${errno})${detail ? `: ${detail}` : ''}`;

/** Where a buffer lies, for structures that point to others; it must not be collected meanwhile. */
export const pointerTo = (buffer: Buffer): bigint => BigInt(koffi.address(buffer));

/** Of the call before, which failed. */
export const lastErrno = (): number => koffi.errno();

/** The result of a call, or an OpError with its errno. */
export function check(op: string, result: number): number {
  if (result >= 0) return result;
  const errno = koffi.errno();
  throw new OpError(op, errnoText(errno), errno);
}

export function setIntOption(fd: number, level: number, option: number, value: number): void {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  check(`setsockopt ${level}/${option}`, libc.setsockopt(fd, level, option, buffer, 4));
}

const SCHED_BATCH = 3;

/**
 * The process never interrupts another one by waking up (sched(7)): what we hand to a child of ours
 * shall not take the processor from us. Where that is refused nothing changes.
 */
export const runInBackground = (pid: number): void =>
  void libc.sched_setscheduler(pid, SCHED_BATCH, Buffer.alloc(4));

/** The C library gives the kernel back what nobody uses in its heap (malloc_trim(3)). */
export const giveBackMemory = (): void => void libc.malloc_trim?.(0);

/** sched_setattr(2), sched_getattr(2): before glibc 2.41 the C library has no names for them. */
const SCHED_ATTR = { x64: { set: 314n, get: 315n }, arm64: { set: 274n, get: 275n } };
/** struct sched_attr as far as Linux 3.14 knows it: what is used here. */
const ATTRIBUTES = { bytes: 48, policy: 4, flags: 8, runtime: 24 };
const SCHED_OTHER = 0;
const RESET_ON_FORK = 1n;
/** The shortest turn that Linux grants. */
const TURN_NANOSECONDS = 100_000n;

/**
 * The calling thread asks for short turns of the processor (Linux 6.12 on): what wakes it is done
 * before the longer turn of another thread ends. It gets no more of the processor for that. What
 * it starts has turns of the usual length, and no better than the usual priority. Where that is
 * refused nothing changes.
 */
export function takeShortTurns(): void {
  const call = SCHED_ATTR[process.arch as keyof typeof SCHED_ATTR];
  const { bytes, policy, flags, runtime } = ATTRIBUTES;
  const attributes = Buffer.alloc(bytes);
  if (!call || Number(libc.syscall(call.get, 0, attributes, bytes, 0)) < 0) return;
  if (attributes.readUInt32LE(policy) !== SCHED_OTHER) return;
  attributes.writeBigUInt64LE(attributes.readBigUInt64LE(flags) | RESET_ON_FORK, flags);
  attributes.writeBigUInt64LE(TURN_NANOSECONDS, runtime);
  libc.syscall(call.set, 0, attributes, 0, 0);
}
