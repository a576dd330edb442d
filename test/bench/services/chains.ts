// Whether the kernel has a chain, asked by netlink in some microseconds: a listing command would cost
// more than what is measured.
import { libc } from '../../../src/kernel/libc.io.ts';
import { MessageWriter, messagesIn, NLM } from '../../../src/kernel/netlink/message.ts';
import { NETLINK, openNetlink } from '../../../src/kernel/rtnetlink.io.ts';

/** linux/netfilter/nfnetlink.h, nf_tables.h. */
const NFTABLES = 10 << 8;
const NEW_CHAIN = NFTABLES | 3;
const GET_CHAIN = NFTABLES | 4;
const CHAIN = { table: 1, name: 3 };
/** nfgenmsg: family, version, resource. */
const IPV4 = 2;
const BYTES = 4096;

/** Chains of IPv4 in this process's namespace. */
export class Chains {
  private readonly fd = openNetlink({ protocol: NETLINK.NETFILTER });
  private sequence = 0;

  has(table: string, name: string): boolean {
    const sequence = ++this.sequence;
    const writer = new MessageWriter(BYTES);
    writer.message(GET_CHAIN, NLM.REQUEST, sequence, () =>
      writer
        .u8(IPV4)
        .u8(0)
        .u16(0)
        .attributeText(CHAIN.table, table)
        .attributeText(CHAIN.name, name),
    );
    const request = writer.finish();
    if (libc.send(this.fd, request, request.length, 0) < 0) throw new Error('nf_tables: no answer');
    const answer = Buffer.alloc(BYTES);
    const length = Number(libc.recv(this.fd, answer, answer.length, 0));
    for (const message of messagesIn(answer.subarray(0, Math.max(length, 0))))
      if (message.sequence === sequence) return message.type === NEW_CHAIN;
    return false;
  }
}
