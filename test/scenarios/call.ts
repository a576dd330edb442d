// TCP calls from a namespace, made by this process itself. How long they wait counts from the SYN on, and what
// has arrived is looked at before they give up: on a busy machine, where a program takes long to start or
// to go on, an answer is still an answer, and silence takes no longer.
import { AF, check, lastErrno, libc, SOCK } from '../../src/kernel/libc.io.ts';
import { inNetnsAt } from '../../src/kernel/namespaces.io.ts';
import { socketAddress } from '../../src/kernel/tcp.io.ts';
import { familyOf, ip } from '../../src/net/ip.ts';
import { netnsPath, type TestNetns } from '../lab/netns.ts';

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const [EINTR, ECONNREFUSED] = [4, 111];
const ANSWER_BYTES_MAX = 4096;

export interface Call {
  readonly from: TestNetns;
  readonly to: string;
  readonly port: number;
  /** For the answer to the SYN. */
  readonly milliseconds: number;
}

export type Outcome = 'connected' | 'refused' | 'nothing';

/** What became of a connection, and of `work` on one that was made. */
export function call<T>(
  { from, to, port, milliseconds }: Call,
  work: (fd: number) => T,
): { readonly outcome: Outcome; readonly value?: T } {
  const family = familyOf(ip(to)) === 4 ? AF.INET : AF.INET6;
  const mode = SOCK.STREAM | SOCK.CLOEXEC;
  const fd = check(
    'socket',
    inNetnsAt(netnsPath(from.name), () => libc.socket(family, mode, 0)),
  );
  try {
    const outcome = connect(fd, socketAddress(ip(to), port), milliseconds);
    return outcome === 'connected' ? { outcome, value: work(fd) } : { outcome };
  } finally {
    libc.close(fd);
  }
}

function connect(fd: number, address: Buffer, milliseconds: number): Outcome {
  const end = performance.now() + milliseconds;
  let errno = EINTR;
  // A child that ends interrupts it (SIGCHLD); called again it goes on, the last time only to look.
  for (let left = milliseconds; errno === EINTR; left = end - performance.now()) {
    errno = connectOnce(fd, address, Math.max(1, left));
    if (left <= 0) break;
  }
  if (errno === 0) return 'connected';
  return errno === ECONNREFUSED || errorOf(fd) === ECONNREFUSED ? 'refused' : 'nothing';
}

/** 0 or an errno. */
function connectOnce(fd: number, address: Buffer, milliseconds: number): number {
  setTimeoutOf(fd, SO_SNDTIMEO, milliseconds);
  return libc.connect(fd, address, address.length) === 0 ? 0 : lastErrno();
}

/** All that the other side says until it closes; undefined: it takes longer. */
export function heard(fd: number, milliseconds: number): string | undefined {
  const end = performance.now() + milliseconds;
  const parts: Buffer[] = [];
  for (;;) {
    setTimeoutOf(fd, SO_RCVTIMEO, Math.max(1, end - performance.now()));
    const part = Buffer.alloc(ANSWER_BYTES_MAX);
    const length = Number(libc.recv(fd, part, part.length, 0));
    if (length > 0) parts.push(part.subarray(0, length));
    else if (length === 0) return Buffer.concat(parts).toString();
    else if (lastErrno() !== EINTR || performance.now() > end) return undefined;
  }
}

function errorOf(fd: number): number {
  const [value, length] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32LE(value.length);
  check('SO_ERROR', libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length));
  return value.readInt32LE();
}

/** struct timeval. */
function setTimeoutOf(fd: number, option: number, milliseconds: number): void {
  const value = Buffer.alloc(16);
  const whole = Math.ceil(milliseconds);
  value.writeBigInt64LE(BigInt(Math.floor(whole / 1000)));
  value.writeBigInt64LE(BigInt((whole % 1000) * 1000), 8);
  check(`timeout ${option}`, libc.setsockopt(fd, SOL_SOCKET, option, value, value.length));
}
