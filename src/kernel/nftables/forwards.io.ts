// The small table in the kernel. It belongs to this process: when that ends, however it ends, the
// kernel takes the table away.
import { OpError } from '../../base/op-error.ts';
import type { Family } from '../../net/ip.ts';
import { ownCommits } from '../iptables/generation.io.ts';
import { check, errnoText, libc } from '../libc.io.ts';
import { inNetnsAt } from '../namespaces.io.ts';
import { ackOf, MessageWriter, messagesIn, NLMSG } from '../netlink/message.ts';
import { NETLINK, openNetlink } from '../rtnetlink.io.ts';
import type { Forward, Forwards } from '../tables.ts';
import { chainsOf, roomFor, writeForwards } from './forwards.ts';

const RECEIVE_BYTES = 1 << 16;
const EAGAIN = 11;

/** `netnsPath`: absent: this process's own namespace. */
export const openForwards = (family: Family, netnsPath?: string): Forwards =>
  new KernelForwards(family, netnsPath);

class KernelForwards implements Forwards {
  private readonly family: Family;
  private readonly fd: number;
  private readonly own;
  private readonly received = Buffer.alloc(RECEIVE_BYTES);
  private sequence = 1;
  private isEmpty = true;

  constructor(family: Family, netnsPath: string | undefined) {
    this.family = family;
    const open = () => openNetlink({ protocol: NETLINK.NETFILTER });
    this.fd = netnsPath === undefined ? open() : inNetnsAt(netnsPath, open);
    this.own = ownCommits(netnsPath);
  }

  set(forwards: readonly Forward[]): void {
    if (forwards.length === 0 && this.isEmpty) return;
    const chains = chainsOf(forwards);
    const writer = new MessageWriter(roomFor(chains));
    const last = writeForwards(writer, this.sequence, this.family, chains);
    this.sequence = last + 2;
    const bytes = writer.finish();
    this.own.countedNow(() => {
      check('serve ahead', Number(libc.send(this.fd, bytes, bytes.length, 0)));
      this.awaitAck(last);
    });
    this.isEmpty = forwards.length === 0;
  }

  // The kernel is done when send() returns: what it has to say is there.
  private awaitAck(last: number): void {
    for (;;) {
      const { received } = this;
      const length = Number(libc.recv(this.fd, received, received.length, 0));
      if (length <= 0) throw new OpError('serve ahead', errnoText(EAGAIN), EAGAIN);
      for (const message of messagesIn(received.subarray(0, length))) {
        if (message.type !== NLMSG.ERROR) continue;
        const { errno, text } = ackOf(message);
        if (errno !== 0) throw new OpError('serve ahead', errnoText(errno, text), errno);
        if (message.sequence === last) return;
      }
    }
  }

  close(): void {
    libc.close(this.fd);
  }
}
