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
