// The table behind iptables' tables, in the kernel (see guard.ts).
import { OpError } from '../../base/op-error.ts';
import type { Family } from '../../net/ip.ts';
import { check, errnoText, libc } from '../libc.io.ts';
import { inNetnsAt } from '../namespaces.io.ts';
import { ackOf, type Message, MessageWriter, messagesIn, NLMSG } from '../netlink/message.ts';
import { closeNetfilter, NETLINK, openNetlink, sendAsync } from '../rtnetlink.io.ts';
import { ownCommits } from './generation.io.ts';
import { encodeGetGuard, encodeGuard, type GuardRules } from './guard.ts';

export interface Guard {
  /** It says this, and nothing that it said before. Throws OpError. */
  set(rules: GuardRules): Promise<void>;
  /** It is gone, if it was there. */
  remove(): Promise<void>;
  isThere(): boolean;
}

const REQUEST_BYTES_MAX = 1 << 14;
const ANSWER_BYTES_MAX = 1 << 13;

export function openGuard(family: Family, netnsPath?: string): Guard {
  const open = (): number => openNetlink({ protocol: NETLINK.NETFILTER });
  const within = (): number => (netnsPath === undefined ? open() : inNetnsAt(netnsPath, open));
  const commit = async (rules?: GuardRules): Promise<void> => {
    const fd = within();
    try {
      const writer = new MessageWriter(REQUEST_BYTES_MAX);
      const last = encodeGuard(writer, family, rules);
      const bytes = writer.finish();
      check('guard', Number(await sendAsync(fd, bytes, bytes.length, 0)));
      awaitAnswer(fd, last);
    } finally {
      closeNetfilter(fd);
    }
  };
  const isThere = (): boolean => {
    const fd = within();
    try {
      const request = encodeGetGuard(new MessageWriter(), family).finish();
      check('guard', Number(libc.send(fd, request, request.length, 0)));
      return receive(fd).some(({ type }) => type !== NLMSG.ERROR);
    } finally {
      closeNetfilter(fd);
    }
  };
  return {
    set: (rules) => ownCommits(netnsPath).counted(commit(rules)),
    remove: async () => {
      if (isThere()) await ownCommits(netnsPath).counted(commit());
    },
    isThere,
  };
}

// The kernel has done all when send() returns.
function awaitAnswer(fd: number, last: number): void {
  for (;;)
    for (const message of receive(fd)) {
      const { errno, text } = ackOf(message);
      if (errno !== 0) throw new OpError('guard', errnoText(errno, text), errno);
      if (message.sequence === last) return;
    }
}

function receive(fd: number): readonly Message[] {
  const answer = Buffer.alloc(ANSWER_BYTES_MAX);
  const length = check('guard', Number(libc.recv(fd, answer, answer.length, 0)));
  return [...messagesIn(answer.subarray(0, length))];
}
