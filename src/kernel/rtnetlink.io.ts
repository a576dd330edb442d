// One netlink socket, used synchronously: many changes in one send, one ACK each.
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { OpError } from '../base/op-error.ts';
import { AF, check, errnoText, libc, SOCK, setIntOption } from './libc.io.ts';
import type { Encoded } from './netlink/link.ts';
import { ackOf, type Message, MessageWriter, messagesIn, NLMSG } from './netlink/message.ts';

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
/** NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK: refusals carry text, dumps filter. */
const NETLINK_OPTIONS = [11, 10, 12];
const RECEIVE_BYTES = 1 << 17;
const MESSAGE_BYTES_MAX = 512;

/** Opens a NETLINK_ROUTE socket in this thread's namespace, subscribed to the groups' bit mask. */
export function openNetlink(
  options: { groups?: number; receiveBytes?: number; blocking?: boolean } = {},
): number {
  const mode = SOCK.RAW | SOCK.CLOEXEC | (options.blocking ? 0 : SOCK.NONBLOCK);
  const fd = check('netlink socket', libc.socket(AF.NETLINK, mode, 0));
  for (const option of NETLINK_OPTIONS) setIntOption(fd, SOL_NETLINK, option, 1);
  setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBytes ?? 1 << 20);
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF.NETLINK);
  address.writeUInt32LE(options.groups ?? 0, 8);
  check('netlink bind', libc.bind(fd, address, address.length));
  return fd;
}

/** A change and the words for its failure. */
export interface Request {
  readonly what: string;
  readonly encode: Encoded;
}

export class Rtnetlink {
  private readonly fd: number;
  private readonly buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  private sequence = 1;

  constructor(fd: number) {
    this.fd = fd;
  }

  close(): void {
    libc.close(this.fd);
  }

  /** All requests in one send; throws the first refusal after every ACK has arrived. */
  apply(requests: readonly Request[]): void {
    if (requests.length === 0) return;
    const first = this.sequence;
    const writer = new MessageWriter(requests.length * MESSAGE_BYTES_MAX);
    for (const { encode } of requests) encode(writer, this.sequence++);
    this.send(writer);
    let refused: OpError | undefined;
    for (let acks = 0; acks < requests.length; ) {
      for (const message of messagesIn(this.receive())) {
        if (message.type !== NLMSG.ERROR || message.sequence < first) continue;
        acks++;
        const { errno, text } = ackOf(message);
        const what = requests[message.sequence - first]?.what ?? 'netlink';
        if (errno !== 0) refused ??= new OpError(what, errnoText(errno, text), errno);
      }
    }
    if (refused) throw refused;
  }

  /** One request, one reply; undefined when there is no such thing (ENODEV). */
  ask<T>(encode: Encoded, read: (message: Message) => T): T | undefined {
    const sequence = this.sequence++;
    const writer = new MessageWriter(MESSAGE_BYTES_MAX);
    encode(writer, sequence);
    this.send(writer);
    for (;;) {
      for (const message of messagesIn(this.receive())) {
        if (message.sequence !== sequence) continue;
        if (message.type === NLMSG.ERROR) return undefined;
        return read(message);
      }
    }
  }

  /** A dump; entries that `read` does not know are left out. */
  dump<T>(what: string, encode: Encoded, read: (message: Message) => T | undefined): readonly T[] {
    const sequence = this.sequence++;
    const writer = new MessageWriter(MESSAGE_BYTES_MAX);
    encode(writer, sequence);
    this.send(writer);
    const found: T[] = [];
    for (;;) {
      for (const message of messagesIn(this.receive())) {
        if (message.sequence !== sequence) continue;
        if (message.type === NLMSG.DONE) return found;
        if (message.type === NLMSG.ERROR) {
          const { errno, text } = ackOf(message);
          throw new OpError(what, errnoText(errno, text), errno);
        }
        const entry = read(message);
        if (entry !== undefined) found.push(entry);
      }
    }
  }

  private send(writer: MessageWriter): void {
    const bytes = writer.finish();
    check('netlink send', Number(libc.send(this.fd, bytes, bytes.length, 0)));
  }

  private receive(): Buffer {
    const length = Number(libc.recv(this.fd, this.buffer, this.buffer.length, 0));
    return this.buffer.subarray(0, check('netlink receive', length));
  }
}

const sendAsync = promisify(libc.send.async) as (
  fd: number,
  bytes: Buffer,
  length: number,
  flags: number,
) => Promise<bigint>;
const receiveAsync = promisify(libc.recv.async) as typeof sendAsync;

/** One request on a socket of its own whose kernel work is long; answers the errno. */
export async function applySlowly(fd: number, encode: Encoded): Promise<number> {
  const writer = new MessageWriter(MESSAGE_BYTES_MAX);
  encode(writer, 1);
  const bytes = writer.finish();
  await setImmediate(); // let what is ready run before a pool thread is taken
  await sendAsync(fd, bytes, bytes.length, 0);
  const reply = Buffer.alloc(4096);
  const length = Number(await receiveAsync(fd, reply, reply.length, 0));
  const [message] = messagesIn(reply.subarray(0, Math.max(length, 0)));
  return message ? ackOf(message).errno : 5;
}
