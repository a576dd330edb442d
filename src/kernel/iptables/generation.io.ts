// How often the nf_tables rules of a network namespace have been changed, by whomsoever: the kernel
// counts transactions, and asking costs some microseconds. Same number, nothing to read back.
import { libc } from '../libc.io.ts';
import { attributesOf, MessageWriter, messagesIn, NLM } from '../netlink/message.ts';
import { NETLINK, openNetlink } from '../rtnetlink.io.ts';

/** linux/netfilter/nfnetlink.h, nf_tables.h: the subsystem and its messages. */
const NFTABLES = 10 << 8;
const NEW_GENERATION = NFTABLES | 15;
const GET_GENERATION = NFTABLES | 16;
const GENERATION_ID = 1;
/** nfgenmsg: family, version, resource. */
const FAMILY_HEADER_BYTES = 4;
const MESSAGE_BYTES_MAX = 256;

/** Transactions of this process in a namespace, whichever tables they were on. */
class OwnCommits {
  private done = 0;
  private underWay = 0;

  get isQuiet(): boolean {
    return this.underWay === 0;
  }

  /** Transactions made. */
  get count(): number {
    return this.done;
  }

  /** One that is done when `commit` returns. */
  countedNow(commit: () => void): void {
    commit();
    this.done++;
  }

  async counted(commit: Promise<void>): Promise<void> {
    this.underWay++;
    try {
      await commit;
      this.done++;
    } finally {
      this.underWay--;
    }
  }
}

const OWN = new Map<string, OwnCommits>();

/** Those in the namespace of this path; absent: our own namespace. */
export function ownCommits(netnsPath = ''): OwnCommits {
  const known = OWN.get(netnsPath) ?? new OwnCommits();
  OWN.set(netnsPath, known);
  return known;
}

/** How often others have changed rules, as a number that only has to be compared. */
export class ForeignGeneration {
  private readonly rules: RuleGeneration;
  private readonly own: OwnCommits;
  private last: number | undefined;

  constructor(rules: RuleGeneration, own: OwnCommits) {
    this.rules = rules;
    this.own = own;
  }

  /** While a transaction of ours is under way: what was told before. */
  now(): number | undefined {
    if (this.own.isQuiet) {
      const all = this.rules.now();
      this.last = all === undefined ? undefined : (all - this.own.count) >>> 0;
    }
    return this.last;
  }

  close(): void {
    this.rules.close();
  }
}

/**
 * `within` switches to the namespace that is asked about.
 */
export class RuleGeneration {
  private readonly fd: number | undefined;
  private sequence = 0;

  constructor(within: <T>(work: () => T) => T) {
    try {
      this.fd = within(() => openNetlink({ protocol: NETLINK.NETFILTER }));
    } catch {
      this.fd = undefined; // no netfilter in this kernel: rules are read back as if always changed
    }
  }

  /** Undefined where the kernel does not tell. */
  now(): number | undefined {
    const { fd } = this;
    if (fd === undefined) return undefined;
    const sequence = ++this.sequence;
    const writer = new MessageWriter(MESSAGE_BYTES_MAX);
    const request = writer
      .message(GET_GENERATION, NLM.REQUEST, sequence, () => void writer.u32(0))
      .finish();
    if (libc.send(fd, request, request.length, 0) < 0) return undefined;
    const answer = Buffer.alloc(MESSAGE_BYTES_MAX);
    const length = Number(libc.recv(fd, answer, answer.length, 0));
    if (length <= 0) return undefined;
    for (const { type, sequence: of, body } of messagesIn(answer.subarray(0, length)))
      if (type === NEW_GENERATION && of === sequence)
        return attributesOf(body, FAMILY_HEADER_BYTES).get(GENERATION_ID)?.readUInt32BE(0);
    return undefined;
  }

  close(): void {
    if (this.fd !== undefined) libc.close(this.fd);
  }
}
