// Listens to a group of the kernel's packet log (NFLOG). One listener a group and network namespace; who
// reads too slowly misses packets and learns how many, the kernel never waits.
import { OpError } from '../../base/op-error.ts';
import { check, errnoText, libc, setIntOption } from '../libc.io.ts';
import { ackOf, MessageWriter, messagesIn } from '../netlink/message.ts';
import { NETLINK, openNetlink } from '../rtnetlink.io.ts';
import { streamOf } from '../subscribe.io.ts';
import { encodeListen, type LoggedPacket, loggedPacketOf } from './message.ts';

const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const MESSAGE_BYTES_MAX = 256;

export interface PacketLogOptions {
  readonly group: number;
  /** `missed`: how many packets before this one the kernel could not pass on. */
  readonly onPacket: (packet: LoggedPacket, missed: number) => void;
  /** The socket is gone; nothing more is heard. */
  readonly onEnd: (cause: OpError) => void;
  readonly signal: AbortSignal;
  /** Switches to another network namespace than this process's own. */
  readonly within?: <T>(work: () => T) => T;
}

/** Listens until the signal fires. Throws OpError when the kernel refuses: no such module, group taken. */
export function listenToPacketLog(options: PacketLogOptions): void {
  const { group, onPacket, onEnd, signal, within = (work) => work() } = options;
  if (signal.aborted) return;
  const stream = streamOf(within(() => open(group)));
  const stop = (): void => void stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  let next: number | undefined;
  stream.on('data', (datagram: Buffer) => {
    for (const message of messagesIn(datagram)) {
      const packet = loggedPacketOf(message);
      if (!packet) continue;
      const { sequence } = packet;
      const missed = sequence !== undefined && next !== undefined ? (sequence - next) >>> 0 : 0;
      if (sequence !== undefined) next = (sequence + 1) >>> 0;
      onPacket(packet, missed);
    }
  });
  let cause = 'closed';
  stream.on('error', (error) => {
    cause = error.message;
  });
  stream.on('close', () => {
    signal.removeEventListener('abort', stop);
    if (!signal.aborted) onEnd(new OpError('packet log', cause));
  });
}

function open(group: number): number {
  const fd = openNetlink({ protocol: NETLINK.NETFILTER });
  try {
    setIntOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    const buffer = Buffer.alloc(MESSAGE_BYTES_MAX);
    for (const [sequence, encode] of encodeListen(group).entries()) {
      const writer = new MessageWriter(MESSAGE_BYTES_MAX);
      encode(writer, sequence + 1);
      const bytes = writer.finish();
      check('packet log', Number(libc.send(fd, bytes, bytes.length, 0)));
      const length = check('packet log', Number(libc.recv(fd, buffer, buffer.length, 0)));
      const [answer] = messagesIn(buffer.subarray(0, length));
      const { errno, text } = answer ? ackOf(answer) : { errno: 5, text: '' };
      if (errno !== 0) throw new OpError('packet log', errnoText(errno, text), errno);
    }
    return fd;
  } catch (cause) {
    libc.close(fd);
    throw cause;
  }
}
