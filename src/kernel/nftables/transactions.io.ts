// Transactions on small nf_tables tables of our own, over one kept socket: to tables that are a socket's own
// (see rules.ts) nobody else has a key.
import { OpError } from '../../base/op-error.ts';
import { ownCommits } from '../iptables/generation.io.ts';
import { check, errnoText, libc } from '../libc.io.ts';
import type { Encoded } from '../netlink/link.ts';
import { ackOf, type Message, MessageWriter, messagesIn, NLMSG } from '../netlink/message.ts';
import { closeNetfilter, openNetfilter, Rtnetlink, sendAsync } from '../rtnetlink.io.ts';

const RECEIVE_BYTES = 1 << 16;

/** Writes one, with messages numbered from `sequence` on; answers the number of the last, which is acknowledged. */
export type Transaction = (writer: MessageWriter, sequence: number) => number;

/** A dump, over a socket of its own: it may come while a transaction is under way. Throws OpError. */
export function dumpNetfilter<T>(
  what: string,
  netnsPath: string | undefined,
  encode: Encoded,
  read: (message: Message) => T | undefined,
): readonly T[] {
  const netlink = new Rtnetlink(openNetfilter(netnsPath), closeNetfilter);
  try {
    return netlink.dump(what, encode, read);
  } finally {
    netlink.close();
  }
}

/** `what`: the words for a failure. `netnsPath`: absent: this process's own namespace. */
export class Transactions {
  private readonly what: string;
  private readonly fd: number;
  private readonly own;
  private readonly received = Buffer.alloc(RECEIVE_BYTES);
  private sequence = 1;

  constructor(what: string, netnsPath?: string) {
    this.what = what;
    this.fd = openNetfilter(netnsPath);
    this.own = ownCommits(netnsPath);
  }

  /** Done when it returns. `bytes`: room that it needs. Throws OpError: nothing of it was done. */
  commitNow(bytes: number, write: Transaction): void {
    this.own.countedNow(() => {
      const { request, last } = this.written(bytes, write);
      check(this.what, Number(libc.send(this.fd, request, request.length, 0)));
      this.awaitAck(last);
    });
  }

  /** The same on a thread of the pool; nothing else may be asked meanwhile. */
  commit(bytes: number, write: Transaction): Promise<void> {
    const { request, last } = this.written(bytes, write);
    const work = async (): Promise<void> => {
      check(this.what, Number(await sendAsync(this.fd, request, request.length, 0)));
      this.awaitAck(last);
    };
    return this.own.counted(work());
  }

  /** Tables that are this socket's own go with it. */
  close(): void {
    closeNetfilter(this.fd);
  }

  private written(bytes: number, write: Transaction) {
    const writer = new MessageWriter(bytes);
    const last = write(writer, this.sequence);
    this.sequence = last + 2;
    return { request: writer.finish(), last };
  }

  // The kernel is done when send() returns: what it has to say is there.
  private awaitAck(last: number): void {
    for (;;)
      for (const message of this.receive()) {
        if (message.type !== NLMSG.ERROR) continue;
        const { errno, text } = ackOf(message);
        if (errno !== 0) {
          this.passOverTheRest();
          throw new OpError(this.what, errnoText(errno, text), errno);
        }
        if (message.sequence === last) return;
      }
  }

  // It may refuse several messages of one transaction; the next reply is to be the next question's.
  private passOverTheRest(): void {
    const { received } = this;
    while (libc.recv(this.fd, received, received.length, 0) > 0);
  }

  private receive(): readonly Message[] {
    const { received } = this;
    const length = Number(libc.recv(this.fd, received, received.length, 0));
    return [...messagesIn(received.subarray(0, check(this.what, length)))];
  }
}
