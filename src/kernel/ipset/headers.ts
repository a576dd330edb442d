// How many members ip sets have, as the kernel tells it: a dump of their headers alone
// (linux/netfilter/ipset/ip_set.h).
import { attributesOf, type Message, type MessageWriter, NLM, textOf } from '../netlink/message.ts';

/** The subsystem and its command. */
const IPSET_LIST = (6 << 8) | 7;
/** The oldest that is spoken; every kernel takes it. */
const PROTOCOL = 6;
const ATTRIBUTE = { PROTOCOL: 1, SETNAME: 2, FLAGS: 6, DATA: 7, ELEMENTS: 24 } as const;
const LIST_HEADER = 1 << 2;
/** nfgenmsg: family, version, resource. */
const FAMILY_HEADER_BYTES = 4;

export interface SetHeader {
  readonly name: string;
  /** Members. */
  readonly size: number;
}

/** Asks for every set of the namespace. */
export function encodeDumpSetHeaders(w: MessageWriter, sequence: number): void {
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(LIST_HEADER);
  w.message(IPSET_LIST, NLM.REQUEST | NLM.DUMP, sequence, () =>
    w
      .u32(0)
      .attribute(ATTRIBUTE.PROTOCOL, Uint8Array.of(PROTOCOL))
      .attribute(ATTRIBUTE.FLAGS, flags),
  );
}

/** Undefined: a message of something else. */
export function decodeSetHeader({ type, body }: Message): SetHeader | undefined {
  if (type !== IPSET_LIST) return undefined;
  const attributes = attributesOf(body, FAMILY_HEADER_BYTES);
  const data = attributes.get(ATTRIBUTE.DATA);
  const elements = data && attributesOf(data).get(ATTRIBUTE.ELEMENTS);
  if (!elements) return undefined;
  return { name: textOf(attributes.get(ATTRIBUTE.SETNAME)), size: elements.readUInt32BE(0) };
}
