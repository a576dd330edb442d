// nf_tables messages for a small table of our own: chains and rules as values, written as one batch
// (linux/netfilter/nf_tables.h). Numbers of attributes are in network order, unlike netlink's own.
import type { Family } from '../../net/ip.ts';
import {
  attributesOf,
  elementsOf,
  type Message,
  type MessageWriter,
  NLM,
  textOf,
} from '../netlink/message.ts';

const SUBSYSTEM = 10;
const BATCH = { BEGIN: 0x10, END: 0x11 } as const;
const MESSAGE = { NEW_TABLE: 0, DELETE_TABLE: 2, NEW_CHAIN: 3, NEW_RULE: 6, GET_RULE: 7 } as const;
/** NFPROTO_*: the families of tables, and of addresses in them. */
const PROTOCOL: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
/** NFTA_TABLE_*, NFTA_CHAIN_*, NFTA_HOOK_*, NFTA_RULE_*, NFTA_EXPR_*. */
const TABLE = { NAME: 1, FLAGS: 2 } as const;
const CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, TYPE: 7 } as const;
const HOOK = { NUMBER: 1, PRIORITY: 2 } as const;
const RULE = { TABLE: 1, CHAIN: 2, EXPRESSIONS: 4 } as const;
/** NFTA_COUNTER_PACKETS. */
const COUNTER_PACKETS = 2;
/** nfgenmsg: family, version, resource. */
const FAMILY_HEADER_BYTES = 4;
const ELEMENT = 1;
const EXPRESSION = { NAME: 1, DATA: 2 } as const;
/** NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST (linux/netfilter/nf_tables.h). */
const FLAGS = { OWNER: 2, PERSIST: 4 } as const;
/**
 * Whose a table is. `own`: this socket's: nobody else can change it, `nft flush ruleset` passes it by, and it
 * goes with the socket. `kept`: likewise, but it stays when the socket closes, and is anybody's then (Linux
 * 6.9). `anybody`: a table like any other.
 */
export type Ownership = 'own' | 'kept' | 'anybody';
const OWNERSHIP: Readonly<Record<Ownership, number>> = {
  own: FLAGS.OWNER,
  kept: FLAGS.OWNER | FLAGS.PERSIST,
  anybody: 0,
};
/** NFTA_DATA_*, NFTA_VERDICT_*. */
const DATA = { VALUE: 1, VERDICT: 2 } as const;
const VERDICT = { CODE: 1, CHAIN: 2 } as const;
const JUMPS = { jump: -3, goto: -4 } as const;
/** Registers; 0 is the verdict's. */
const [R_VERDICT, R1, R2] = [0, 1, 2];
const META = { MARK: 3, INPUT_NAME: 6, OUTPUT_NAME: 7, L4PROTO: 16 } as const;
/** NFT_CMP_*, NFT_CT_STATE. */
const COMPARE = { EQUAL: 0, DIFFERENT: 1, AT_MOST: 3, AT_LEAST: 5 } as const;
const CT_STATE = 0;
/** NF_DROP, NF_ACCEPT. */
const END = { drop: 0, accept: 1 } as const;
const IP_HEADER: Readonly<Record<Family, { source: number; destination: number; bytes: number }>> =
  { 4: { source: 12, destination: 16, bytes: 4 }, 6: { source: 8, destination: 24, bytes: 16 } };

/** One expression of a rule. */
export type Expression = (writer: MessageWriter) => void;
/** What a packet must be, or what is done with it. */
export type Expressions = readonly Expression[];

export interface NftChain {
  readonly name: string;
  /** What the kernel asks it for; absent: others lead to it. */
  readonly hook?: {
    readonly type: 'nat' | 'filter';
    readonly number: number;
    readonly priority: number;
  };
  readonly rules: readonly Expressions[];
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
const compare = (bytes: Uint8Array, how: number = COMPARE.EQUAL): Expression =>
  expression('cmp', (w) => {
    w.attribute(1, u32(R1)).attribute(2, u32(how));
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

const decide = (code: number, chain?: string): Expression =>
  expression('immediate', (w) => {
    w.attribute(1, u32(R_VERDICT)).nested(2, () =>
      w.nested(DATA.VERDICT, () => {
        w.attribute(VERDICT.CODE, u32(code));
        if (chain !== undefined) w.attributeText(VERDICT.CHAIN, chain);
      }),
    );
  });

/** Packets of this protocol, by its number. */
export const protocolIs = (protocol: number): Expressions => [
  numbers('meta', R1, META.L4PROTO),
  compare(Uint8Array.of(protocol)),
];

/** From or to addresses that have these bits under the mask. */
export function addressIs(
  which: 'source' | 'destination',
  address: Uint8Array,
  { mask, negated = false }: { readonly mask?: Uint8Array; readonly negated?: boolean } = {},
): Expressions {
  const header = IP_HEADER[address.length === 4 ? 4 : 6];
  const masked = mask ? [bits(mask, new Uint8Array(mask.length))] : [];
  return [
    load(1, header[which], header.bytes),
    ...masked,
    compare(address, negated ? COMPARE.DIFFERENT : COMPARE.EQUAL),
  ];
}

/** To this port of TCP, UDP or SCTP. */
export const portIs = (port: number): Expressions => [load(2, 2, 2), compare(port16(port))];

/** One of `n` packets, by chance. */
export const oneOf = (n: number): Expressions => [
  numbers('numgen', R1, n, 1),
  compare(native32(0)),
];

/** Sets a bit of the packet's mark. */
export const setMark = (mark: number): Expressions => [
  numbers('meta', R1, META.MARK),
  bits(native32(~mark), native32(mark)),
  expression('meta', (w) => w.attribute(2, u32(META.MARK)).attribute(3, u32(R1))),
];

const isAny = (mask: number): Expressions => [
  bits(native32(mask), native32(0)),
  compare(native32(0), COMPARE.DIFFERENT),
];

/** Packets whose mark has one of these bits. */
export const markHas = (mask: number): Expressions => [
  numbers('meta', R1, META.MARK),
  ...isAny(mask),
];

/** Packets of connections in one of these states (NF_CT_STATE_BIT). */
export const stateIs = (states: number): Expressions => [
  numbers('ct', R1, CT_STATE),
  ...isAny(states),
];

/** Packets that come in, or go out, by an interface whose name begins so. */
export const interfaceBegins = (which: 'in' | 'out', name: string): Expressions => [
  numbers('meta', R1, which === 'in' ? META.INPUT_NAME : META.OUTPUT_NAME),
  compare(Buffer.from(name)),
];

/** ICMPv6 messages of these types. */
export const icmpv6Between = (first: number, last: number, except: number): Expressions => [
  ...protocolIs(58),
  load(2, 0, 1),
  compare(Uint8Array.of(first), COMPARE.AT_LEAST),
  compare(Uint8Array.of(last), COMPARE.AT_MOST),
  compare(Uint8Array.of(except), COMPARE.DIFFERENT),
];

/** Counts the packets that get here. */
export const count: Expression = expression('counter', () => undefined);

/** The packet's way through this hook's chain ends so. */
export const end = (how: keyof typeof END): Expression => decide(END[how]);

export const leadTo = (how: keyof typeof JUMPS, chain: string): Expression =>
  decide(JUMPS[how], chain);

/** Destination NAT. */
export const sendTo = (family: Family, address: Uint8Array, port: number): Expressions => [
  immediate(R1, address),
  immediate(R2, port16(port)),
  // NFTA_NAT_TYPE, FAMILY, REG_ADDR_MIN, REG_ADDR_MAX, REG_PROTO_MIN, REG_PROTO_MAX.
  numbers('nat', 1, PROTOCOL[family], R1, R1, R2, R2),
];

export interface NftTable {
  readonly family: Family;
  readonly name: string;
  readonly ownership: Ownership;
  readonly chains: readonly NftChain[];
}

/**
 * One transaction that puts a table in the place of the one of that name; without chains it goes.
 * Messages are numbered from `sequence` on; answers the number of the last, which is acknowledged.
 */
export function writeTable(
  w: MessageWriter,
  sequence: number,
  { family, name, ownership, chains }: NftTable,
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
  const named = (): MessageWriter => w.attributeText(TABLE.NAME, name);
  write(BATCH.BEGIN, 0, SUBSYSTEM, () => undefined);
  // Made first, so that there is one to delete; without flags it may be anyone's that we may change.
  send(MESSAGE.NEW_TABLE, NLM.CREATE, named);
  send(MESSAGE.DELETE_TABLE, chains.length === 0 ? NLM.ACK : 0, named);
  if (chains.length > 0)
    send(MESSAGE.NEW_TABLE, NLM.CREATE, () =>
      named().attribute(TABLE.FLAGS, u32(OWNERSHIP[ownership])),
    );
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
  w.attributeText(CHAIN.TYPE, hook.type);
}

/** Asks for the table's rules, with what their counters say; a table that is not there has none. */
export const encodeDumpRules = (
  w: MessageWriter,
  sequence: number,
  { family, name }: Pick<NftTable, 'family' | 'name'>,
): void =>
  void w.message((SUBSYSTEM << 8) | MESSAGE.GET_RULE, NLM.REQUEST | NLM.DUMP, sequence, () =>
    w.u8(PROTOCOL[family]).u8(0).u16(0).attributeText(RULE.TABLE, name),
  );

/** How many packets a rule has counted, 0 without a counter; undefined: a message of something else. */
export function decodeCounted({ type, body }: Message): number | undefined {
  if (type !== ((SUBSYSTEM << 8) | MESSAGE.NEW_RULE)) return undefined;
  const list = attributesOf(body, FAMILY_HEADER_BYTES).get(RULE.EXPRESSIONS) ?? Buffer.alloc(0);
  const expressions = [...elementsOf(list)].map((one) => attributesOf(one));
  const counter = expressions.find((one) => textOf(one.get(EXPRESSION.NAME)) === 'counter');
  const counts = attributesOf(counter?.get(EXPRESSION.DATA) ?? Buffer.alloc(0));
  return Number(counts.get(COUNTER_PACKETS)?.readBigUInt64BE(0) ?? 0n);
}
