// Stream sockets of Unix, beside Node's own: Node takes one waiting connection each turn of its loop,
// which among many callers is a turn's time for each of them.
import { OpError } from '../../base/op-error.ts';
import { AF, check, libc, SOCK } from '../libc.io.ts';

const MSG_NOSIGNAL = 0x4000;
/** struct sockaddr_un: the family and room for the path with its zero byte. */
const PATH_BYTES_MAX = 107;
const PATH_OFFSET = 2;

/** A socket bound to the path, for `Server.listen({ fd })`. Throws OpError. */
export function bindUnix(path: string): number {
  const bytes = Buffer.from(path);
  // Cut short it would be another path.
  if (bytes.length > PATH_BYTES_MAX) throw new OpError(`bind ${path}`, 'the path is too long');
  const address = Buffer.alloc(PATH_OFFSET + PATH_BYTES_MAX + 1);
  address.writeUInt16LE(AF.UNIX);
  bytes.copy(address, PATH_OFFSET);
  const mode = SOCK.STREAM | SOCK.CLOEXEC | SOCK.NONBLOCK;
  const fd = check(`socket for ${path}`, libc.socket(AF.UNIX, mode, 0));
  try {
    check(`bind ${path}`, libc.bind(fd, address, PATH_OFFSET + bytes.length + 1));
  } catch (cause) {
    libc.close(fd);
    throw cause;
  }
  return fd;
}

/** A connection that waits at a listening socket; undefined: none, or no descriptor for it. */
export function acceptUnix(listening: number): number | undefined {
  const fd = libc.accept4(listening, null, null, SOCK.CLOEXEC | SOCK.NONBLOCK);
  return fd < 0 ? undefined : fd;
}

/** What has arrived, up to the buffer's size; 0 also when nothing has, or never will. */
export const receiveNow = (fd: number, into: Buffer): number =>
  Math.max(0, Number(libc.recv(fd, into, into.length, 0)));

/** How much was taken at once. */
export const sendNow = (fd: number, bytes: Buffer): number =>
  Math.max(0, Number(libc.send(fd, bytes, bytes.length, MSG_NOSIGNAL)));

/** Closes a descriptor that Node knows nothing of. */
export const closeUnix = (fd: number): void => void libc.close(fd);
