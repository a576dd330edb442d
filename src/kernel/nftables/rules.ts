// nf_tables messages for a small table of our own: chains and rules as values, written as one batch
// (linux/netfilter/nf_tables.h). Numbers of attributes are in network order, unlike netlink's own.
import type { Family } from '../../net/ip.ts';
import { type MessageWriter, NLM } from '../netlink/message.ts';

const SUBSYSTEM = 10;
const BATCH = { BEGIN: 0x10, END: 0x11 } as const;
const MESSAGE = { NEW_TABLE: 0, DELETE_TABLE: 2, NEW_CHAIN: 3, NEW_RULE: 6 } as const;
/** NFPROTO_*: the families of tables, and of addresses in them. */
const PROTOCOL: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
/** NFTA_TABLE_*, NFTA_CHAIN_*, NFTA_HOOK_*, NFTA_RULE_*, NFTA_EXPR_*. */
const TABLE = { NAME: 1, FLAGS: 2 } as const;
const CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, TYPE: 7 } as const;
const HOOK = { NUMBER: 1, PRIORITY: 2 } as const;
const RULE = { TABLE: 1, CHAIN: 2, EXPRESSIONS: 4 } as const;
const ELEMENT = 1;
const EXPRESSION = { NAME: 1, DATA: 2 } as const;
/** The kernel removes the table when the socket closes that made it (NFT_TABLE_F_OWNER). */
const OWNED = 2;
/** NFTA_DATA_*, NFTA_VERDICT_*. */
const DATA = { VALUE: 1, VERDICT: 2 } as const;
const VERDICT = { CODE: 1, CHAIN: 2 } as const;
const JUMPS = { jump: -3, goto: -4 } as const;
/** Registers; 0 is the verdict's. */
const [R_VERDICT, R1, R2] = [0, 1, 2];
const META = { MARK: 3, L4PROTO: 16 } as const;
const IP_HEADER: Readonly<Record<Family, { source: number; destination: number; bytes: number }>> =
  { 4: { source: 12, destination: 16, bytes: 4 }, 6: { source: 8, destination: 24, bytes: 16 } };

/** One expression of a rule. */
export type Expression = (writer: MessageWriter) => void;

export interface NftChain {
  readonly name: string;
  /** Of nat's kind; absent: others lead to it. */
  readonly hook?: { readonly number: number; readonly priority: number };
  readonly rules: readonly (readonly Expression[])[];
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
/** As packet marks and random numbers stand in registers. */
const native32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const port16 = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 255);

const expression =
  (name: string, data: Expression): Expression =>
  (w) =>
    w.nested(ELEMENT, () => {
      w.attributeText(EXPRESSION.NAME, name).nested(EXPRESSION.DATA, () => data(w));
    });
/** Attributes 1, 2 and so on. */
const numbers = (name: string, ...values: readonly number[]): Expression =>
  expression(name, (w) => {
    for (const [i, value] of values.entries()) w.attribute(i + 1, u32(value));
  });
const value = (w: MessageWriter, type: number, bytes: Uint8Array): void =>
  void w.nested(type, () => w.attribute(DATA.VALUE, bytes));

const load = (base: number, offset: number, bytes: number): Expression =>
  numbers('payload', R1, base, offset, bytes);
const compare = (bytes: Uint8Array, isEqual = true): Expression =>
  expression('cmp', (w) => {
    w.attribute(1, u32(R1)).attribute(2, u32(isEqual ? 0 : 1));
    value(w, 3, bytes);
  });
const bits = (mask: Uint8Array, flip: Uint8Array): Expression =>
  expression('bitwise', (w) => {
    for (const [type, number] of [R1, R1, mask.length].entries())
      w.attribute(type + 1, u32(number));
    value(w, 4, mask);
    value(w, 5, flip);
  });
const immediate = (register: number, bytes: Uint8Array): Expression =>
  expression('immediate', (w) => {
    w.attribute(1, u32(register));
    value(w, 2, bytes);
  });

/** Packets of this protocol, by its number. */
export const protocolIs = (protocol: number): readonly Expression[] => [
  numbers('meta', R1, META.L4PROTO),
  compare(Uint8Array.of(protocol)),
];

/** From or to addresses that have these bits under the mask. */
export function addressIs(
  which: 'source' | 'destination',
  address: Uint8Array,
  { mask, negated = false }: { readonly mask?: Uint8Array; readonly negated?: boolean } = {},
): readonly Expression[] {
  const header = IP_HEADER[address.length === 4 ? 4 : 6];
  const masked = mask ? [bits(mask, new Uint8Array(mask.length))] : [];
  return [load(1, header[which], header.bytes), ...masked, compare(address, !negated)];
}

/** To this port of TCP, UDP or SCTP. */
export const portIs = (port: number): readonly Expression[] => [
  load(2, 2, 2),
  compare(port16(port)),
];

/** One of `n` packets, by chance. */
export const oneOf = (n: number): readonly Expression[] => [
  numbers('numgen', R1, n, 1),
  compare(native32(0)),
];

/** Sets a bit of the packet's mark. */
export const setMark = (mark: number): readonly Expression[] => [
  numbers('meta', R1, META.MARK),
  bits(native32(~mark), native32(mark)),
  expression('meta', (w) => w.attribute(2, u32(META.MARK)).attribute(3, u32(R1))),
];

export const leadTo = (how: keyof typeof JUMPS, chain: string): Expression =>
  expression('immediate', (w) => {
    w.attribute(1, u32(R_VERDICT)).nested(2, () =>
      w.nested(DATA.VERDICT, () =>
        w.attribute(VERDICT.CODE, u32(JUMPS[how])).attributeText(VERDICT.CHAIN, chain),
      ),
    );
  });

/** Destination NAT. */
export const sendTo = (
  family: Family,
  address: Uint8Array,
  port: number,
): readonly Expression[] => [
  immediate(R1, address),
  immediate(R2, port16(port)),
  // NFTA_NAT_TYPE, FAMILY, REG_ADDR_MIN, REG_ADDR_MAX, REG_PROTO_MIN, REG_PROTO_MAX.
  numbers('nat', 1, PROTOCOL[family], R1, R1, R2, R2),
];

/**
 * One transaction that puts a table in the place of the one of that name; without chains it goes.
 * Messages are numbered from `sequence` on; answers the number of the last, which is acknowledged.
 */
export function writeTable(
  w: MessageWriter,
  sequence: number,
  { family, name, chains }: { family: Family; name: string; chains: readonly NftChain[] },
): number {
  let next = sequence;
  const write = (type: number, flags: number, resource: number, body: () => void): void =>
    void w.message(type, NLM.REQUEST | flags, next++, () => {
      w.u8(resource === 0 ? PROTOCOL[family] : 0)
        .u8(0)
        .u16(resource << 8);
      body();
    });
  const send = (type: number, flags: number, body: () => void): void =>
    write((SUBSYSTEM << 8) | type, flags, 0, body);
  const table = (): void =>
    void w.attributeText(TABLE.NAME, name).attribute(TABLE.FLAGS, u32(OWNED));
  write(BATCH.BEGIN, 0, SUBSYSTEM, () => undefined);
  // Made first, so that there is one to delete.
  send(MESSAGE.NEW_TABLE, NLM.CREATE, table);
  const last = chains.length === 0 ? NLM.ACK : 0;
  send(MESSAGE.DELETE_TABLE, last, () => void w.attributeText(TABLE.NAME, name));
  if (chains.length > 0) send(MESSAGE.NEW_TABLE, NLM.CREATE, table);
  for (const chain of chains) send(MESSAGE.NEW_CHAIN, NLM.CREATE, () => writeChain(w, name, chain));
  const rules = chains.flatMap(({ name: chain, rules }) => rules.map((rule) => ({ chain, rule })));
  for (const [i, { chain, rule }] of rules.entries())
    send(MESSAGE.NEW_RULE, NLM.CREATE | NLM.APPEND | (i === rules.length - 1 ? NLM.ACK : 0), () => {
      w.attributeText(RULE.TABLE, name).attributeText(RULE.CHAIN, chain);
      w.nested(RULE.EXPRESSIONS, () => {
        for (const one of rule) one(w);
      });
    });
  write(BATCH.END, 0, SUBSYSTEM, () => undefined);
  return next - 2;
}

function writeChain(w: MessageWriter, table: string, { name, hook }: NftChain): void {
  w.attributeText(CHAIN.TABLE, table).attributeText(CHAIN.NAME, name);
  if (!hook) return;
  w.nested(CHAIN.HOOK, () =>
    w.attribute(HOOK.NUMBER, u32(hook.number)).attribute(HOOK.PRIORITY, u32(hook.priority)),
  );
  w.attributeText(CHAIN.TYPE, 'nat');
}
