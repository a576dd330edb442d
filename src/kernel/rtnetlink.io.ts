// One netlink socket, used synchronously: many changes in one send. The kernel is done with all of them
// when send() returns; it answers what it refuses, and the last.
import { promisify } from 'node:util';
import { OpError } from '../base/op-error.ts';
import type { Refusal } from './kernel.ts';
import { AF, check, errnoText, libc, SOCK, setIntOption } from './libc.io.ts';
import { inNetnsAt } from './namespaces.io.ts';
import type { Encoded } from './netlink/link.ts';
import {
  ackOf,
  DUMP_INTERRUPTED,
  type Message,
  MessageWriter,
  messagesIn,
  NLMSG,
} from './netlink/message.ts';

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
/** NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK: refusals carry text, dumps filter. */
const NETLINK_OPTIONS = [11, 10, 12];
const RECEIVE_BYTES = 1 << 17;
/** A route of 16 ways has some 700. */
const MESSAGE_BYTES_MAX = 1024;
/** What one send carries: the messages fit the send buffer, their ACKs the receive buffer. */
const REQUESTS_PER_SEND_MAX = 500;
const BYTES_PER_SEND_MAX = 1 << 16;
/** A dump that others disturb is asked again this often. */
const DUMP_TRIES_MAX = 10;
const SEQUENCE_MAX = 0x7fff_ffff;
const ENODEV = 19;
const EINTR = 4;

/** Netlink families (linux/netlink.h). */
export const NETLINK = { ROUTE: 0, NETFILTER: 12 } as const;

/** Opens a netlink socket in this thread's namespace, subscribed to the groups' bit mask. */
export function openNetlink(
  options: { protocol?: number; groups?: number; receiveBytes?: number } = {},
): number {
  const mode = SOCK.RAW | SOCK.CLOEXEC | SOCK.NONBLOCK;
  const { protocol = NETLINK.ROUTE } = options;
  const fd = check('netlink socket', libc.socket(AF.NETLINK, mode, protocol));
  for (const option of NETLINK_OPTIONS) setIntOption(fd, SOL_NETLINK, option, 1);
  setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBytes ?? 1 << 20);
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF.NETLINK);
  address.writeUInt32LE(options.groups ?? 0, 8);
  check('netlink bind', libc.bind(fd, address, address.length));
  return fd;
}

/** A socket of NETLINK.NETFILTER, in this process's namespace or that of a path. Throws OpError. */
export function openNetfilter(netnsPath?: string): number {
  const open = () => openNetlink({ protocol: NETLINK.NETFILTER });
  return netnsPath === undefined ? open() : inNetnsAt(netnsPath, open);
}

/**
 * Closes a socket of NETLINK.NETFILTER off the main thread: nf_tables looks whether it owned any
 * table, and waits for the transaction under way, which may take long (nft_rcv_nl_event).
 */
export const closeNetfilter = (fd: number): void => void libc.close.async(fd, () => {});

/** A change and the words for its failure. */
export interface Request {
  readonly what: string;
  readonly encode: Encoded;
  /** Refusals that are as good as done. */
  readonly tolerated?: readonly number[];
  /** A question: its reply is among the outcome's answers, unless it is refused. */
  readonly isQuestion?: boolean;
}

/** By place in the list of requests. */
export interface Outcome {
  readonly refused: readonly Refusal[];
  readonly answers: ReadonlyMap<number, Message>;
}

/** Requests of one send: `count` of them from `at` on, numbered from `first` on. */
interface Batch {
  readonly writer: MessageWriter;
  readonly at: number;
  readonly first: number;
  readonly count: number;
}

/** Shared: a call is done with it before it returns. */
const received = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

export class Rtnetlink {
  private readonly fd: number;
  private readonly closeFd: (fd: number) => void;
  private readonly portion: number;
  private sequence = 1;
  /** Its name in the kernel's words, once it was answered. */
  port = 0;

  /** `portion`: bytes that are read at once; of a dump the kernel makes so many each time. */
  constructor(fd: number, closeFd: (fd: number) => void = libc.close, portion = RECEIVE_BYTES) {
    this.fd = fd;
    this.closeFd = closeFd;
    this.portion = portion;
  }

  close(): void {
    this.closeFd(this.fd);
  }

  /** In order, many in one send; answers the refusals after every ACK has arrived. */
  apply(requests: readonly Request[]): readonly Refusal[] {
    const outcome = emptyOutcome();
    for (let at = 0; at < requests.length; ) {
      const batch = this.batch(requests, at);
      this.send(batch.writer);
      this.collect(requests, batch, outcome);
      at += batch.count;
    }
    return outcome.refused;
  }

  /** The same off the main thread; nobody else may use this socket meanwhile. */
  async applyAside(requests: readonly Request[]): Promise<Outcome> {
    const outcome = emptyOutcome();
    for (let at = 0; at < requests.length; ) {
      const batch = this.batch(requests, at);
      const bytes = batch.writer.finish();
      // The kernel does the work inside send(): when that returns, the replies are there.
      check('netlink send', Number(await sendAsync(this.fd, bytes, bytes.length, 0)));
      this.collect(requests, batch, outcome);
      at += batch.count;
    }
    return outcome;
  }

  /** What fits into one send, from `at` on; of its changes only the last is acknowledged. */
  private batch(requests: readonly Request[], at: number): Batch {
    const most = Math.min(requests.length - at, REQUESTS_PER_SEND_MAX);
    const writer = new MessageWriter(
      Math.min(most * MESSAGE_BYTES_MAX, BYTES_PER_SEND_MAX + MESSAGE_BYTES_MAX),
    );
    const first = this.numbers(most);
    let count = 0;
    for (let start = 0; count < most && writer.bytes < BYTES_PER_SEND_MAX; count++) {
      if (count > 0) writer.silence(start);
      start = writer.bytes;
      requests[at + count]!.encode(writer, first + count);
    }
    return { writer, at, first, count };
  }

  /** Reads until there is word of the batch's last request. */
  private collect(
    requests: readonly Request[],
    { at, first, count }: Batch,
    { refused, answers }: ReturnType<typeof emptyOutcome>,
  ): void {
    for (let done = false; !done; ) {
      for (const message of messagesIn(this.receive())) {
        const index = at + message.sequence - first;
        const request = index >= at && index < at + count ? requests[index] : undefined;
        if (!request) continue;
        this.port = message.port;
        done ||= index === at + count - 1;
        if (message.type !== NLMSG.ERROR) {
          // A copy: what is read next would overwrite it.
          if (request.isQuestion) answers.set(index, copyOf(message));
          continue;
        }
        const { errno, text } = ackOf(message);
        if (errno === 0 || request.tolerated?.includes(errno)) continue;
        refused.push({ index, error: new OpError(request.what, errnoText(errno, text), errno) });
      }
    }
  }

  /** One request, one reply; undefined when there is no such device. */
  ask<T>(what: string, encode: Encoded, read: (message: Message) => T | undefined): T | undefined {
    const sequence = this.request(encode);
    for (;;) {
      for (const message of messagesIn(this.receive())) {
        if (message.sequence !== sequence) continue;
        if (message.type !== NLMSG.ERROR) return read(message);
        const { errno, text } = ackOf(message);
        if (errno === ENODEV) return undefined;
        throw new OpError(what, errnoText(errno, text), errno);
      }
    }
  }

  /** A dump; entries that `read` does not know are left out. */
  dump<T>(what: string, encode: Encoded, read: (message: Message) => T | undefined): readonly T[] {
    for (let tries = 0; tries < DUMP_TRIES_MAX; tries++) {
      const found = this.dumpOnce(what, encode, read);
      if (found) return found;
    }
    throw new OpError(what, 'the table kept changing while it was read', EINTR);
  }

  // Undefined: the table changed between two parts, so that entries may be missing or double.
  private dumpOnce<T>(
    what: string,
    encode: Encoded,
    read: (message: Message) => T | undefined,
  ): readonly T[] | undefined {
    const found: T[] = [];
    const parts = this.dumpParts(what, encode, read);
    for (;;) {
      const { done, value } = parts.next();
      if (done) return value.interrupted ? undefined : found;
      for (const entry of value) found.push(entry);
    }
  }

  /** A dump, datagram by datagram; no other question may be asked on this socket meanwhile. */
  *dumpParts<T>(
    what: string,
    encode: Encoded,
    read: (message: Message) => T | undefined,
  ): Generator<readonly T[], { readonly interrupted: boolean }> {
    const sequence = this.request(encode);
    let interrupted = false;
    for (;;) {
      const part: T[] = [];
      for (const message of messagesIn(this.receive())) {
        if (message.sequence !== sequence) continue;
        if (message.flags & DUMP_INTERRUPTED) interrupted = true;
        if (message.type === NLMSG.DONE) {
          if (part.length > 0) yield part;
          return { interrupted };
        }
        if (message.type === NLMSG.ERROR) {
          const { errno, text } = ackOf(message);
          throw new OpError(what, errnoText(errno, text), errno);
        }
        const entry = read(message);
        if (entry !== undefined) part.push(entry);
      }
      yield part;
    }
  }

  private request(encode: Encoded): number {
    const sequence = this.numbers(1);
    const writer = new MessageWriter(MESSAGE_BYTES_MAX);
    encode(writer, sequence);
    this.send(writer);
    return sequence;
  }

  /** The first of `count` sequence numbers. */
  private numbers(count: number): number {
    if (this.sequence + count > SEQUENCE_MAX) this.sequence = 1;
    const first = this.sequence;
    this.sequence += count;
    return first;
  }

  private send(writer: MessageWriter): void {
    const bytes = writer.finish();
    check('netlink send', Number(libc.send(this.fd, bytes, bytes.length, 0)));
  }

  private receive(): Buffer {
    const length = Number(libc.recv(this.fd, received, this.portion, 0));
    return received.subarray(0, check('netlink receive', length));
  }
}

/** `send` on a thread of the pool: the kernel may take its time. */
export const sendAsync = promisify(libc.send.async) as (
  fd: number,
  bytes: Buffer,
  length: number,
  flags: number,
) => Promise<bigint>;

const emptyOutcome = () => ({ refused: [] as Refusal[], answers: new Map<number, Message>() });

const copyOf = (message: Message): Message => ({ ...message, body: Buffer.from(message.body) });
