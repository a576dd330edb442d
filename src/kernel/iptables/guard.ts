// A table of our own in nf_tables, behind the filter tables of iptables and untouched by `iptables -F`: what
// begins at or ends in a workload's interface and was not accepted by policy is dropped there. As netlink
// messages (linux/netfilter/nf_tables.h); numbers in them are big-endian, data in registers is not.
import type { Family } from '../../net/ip.ts';
import { AF } from '../libc.io.ts';
import { type MessageWriter, NLM } from '../netlink/message.ts';

export interface GuardRules {
  /** Bit of the packet mark that says that policy has accepted the packet. */
  readonly acceptMark: number;
  /** What names of workloads' interfaces begin with. */
  readonly interfacePrefixes: readonly string[];
}

const TABLE = 'calico-kit-guard';
const SUBSYSTEM = 10;
const of = (message: number): number => (SUBSYSTEM << 8) | message;
const MESSAGE = {
  newTable: of(0),
  getTable: of(1),
  deleteTable: of(2),
  newChain: of(3),
  newRule: of(6),
  begin: 0x10,
  end: 0x11,
} as const;
const HOOKS = { input: 1, forward: 2 } as const;
/** The filter table of iptables is at 0. */
const PRIORITY = 10;
const VERDICT = { drop: 0, accept: 1 } as const;
const META = { mark: 3, inputName: 6, outputName: 7, protocol: 16 } as const;
const COMPARE = { equal: 0, different: 1, atMost: 3, atLeast: 5 } as const;
const CT_STATE = 0;
/** Established, related. */
const KNOWN_STATES = 6;
const TRANSPORT_HEADER = 2;
const ICMPV6 = 58;
const REGISTER = 1;
const NO_MASK = 4;

type Expression = (w: MessageWriter) => void;
/** Of a rule, in order. */
type Expressions = readonly Expression[];

const big = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const native = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};

// NFTA_LIST_ELEM: NFTA_EXPR_NAME, NFTA_EXPR_DATA.
function expression(name: string, data: (w: MessageWriter) => void): Expression {
  return (w) => void w.nested(1, () => w.attributeText(1, name).nested(2, () => data(w)));
}

function load(key: number): Expression {
  return expression('meta', (w) => w.attribute(1, big(REGISTER)).attribute(2, big(key)));
}

function compare(how: number, bytes: Uint8Array): Expression {
  return expression('cmp', (w) =>
    w
      .attribute(1, big(REGISTER))
      .attribute(2, big(how))
      .nested(3, () => w.attribute(1, bytes)),
  );
}

function masked(mask: number): Expression {
  return expression('bitwise', (w) =>
    w
      .attribute(1, big(REGISTER))
      .attribute(2, big(REGISTER))
      .attribute(3, big(NO_MASK))
      .nested(4, () => w.attribute(1, native(mask)))
      .nested(5, () => w.attribute(1, native(0))),
  );
}

function verdict(code: number): Expression {
  return expression('immediate', (w) =>
    w.attribute(1, big(0)).nested(2, () => w.nested(2, () => w.attribute(1, big(code)))),
  );
}

const isAny = (mask: number): Expressions => [masked(mask), compare(COMPARE.different, native(0))];
const state = expression('ct', (w) => w.attribute(1, big(REGISTER)).attribute(2, big(CT_STATE)));
const messageType = expression('payload', (w) =>
  w
    .attribute(1, big(REGISTER))
    .attribute(2, big(TRANSPORT_HEADER))
    .attribute(3, big(0))
    .attribute(4, big(1)),
);
const byte = (value: number): Uint8Array => Uint8Array.of(value);
const accepted = verdict(VERDICT.accept);
const ofInterfaces = (key: number, prefixes: readonly string[]): readonly Expressions[] =>
  prefixes.map((prefix) => [
    load(key),
    compare(COMPARE.equal, Buffer.from(prefix)),
    verdict(VERDICT.drop),
  ]);

// Without them a workload does not find its gateway; 134 would be a router's words.
function neighbourDiscovery(): Expressions {
  return [
    load(META.protocol),
    compare(COMPARE.equal, byte(ICMPV6)),
    messageType,
    compare(COMPARE.atLeast, byte(130)),
    compare(COMPARE.atMost, byte(136)),
    compare(COMPARE.different, byte(134)),
    accepted,
  ];
}

function rulesOf(
  hook: keyof typeof HOOKS,
  family: Family,
  { acceptMark, interfacePrefixes }: GuardRules,
): readonly Expressions[] {
  return [
    [state, ...isAny(KNOWN_STATES), accepted],
    [load(META.mark), ...isAny(acceptMark), accepted],
    ...(hook === 'input' && family === 6 ? [neighbourDiscovery()] : []),
    ...ofInterfaces(META.inputName, interfacePrefixes),
    ...(hook === 'forward' ? ofInterfaces(META.outputName, interfacePrefixes) : []),
  ];
}

/** nfgenmsg. */
const head = (w: MessageWriter, family: number, resource = 0): MessageWriter =>
  w
    .u8(family)
    .u8(0)
    .u8(resource >> 8)
    .u8(resource & 0xff);

const NUMBER = { 4: AF.INET, 6: AF.INET6 } as const;

/** One transaction; its last change is acknowledged under the sequence number that it answers. */
export function encodeGuard(w: MessageWriter, family: Family, rules?: GuardRules): number {
  let sequence = 0;
  const number = NUMBER[family];
  const change = (type: number, flags: number, body: () => void): void =>
    void w.message(type, NLM.REQUEST | flags, ++sequence, () => {
      head(w, number);
      body();
    });
  const table = (type: number, flags: number): void =>
    change(type, flags, () => w.attributeText(1, TABLE));
  w.message(MESSAGE.begin, NLM.REQUEST, ++sequence, () => head(w, 0, SUBSYSTEM));
  // Made where it is not there, so that it can go, with all that is in it.
  table(MESSAGE.newTable, NLM.CREATE);
  table(MESSAGE.deleteTable, rules ? 0 : NLM.ACK);
  if (rules) {
    table(MESSAGE.newTable, NLM.CREATE);
    for (const hook of ['input', 'forward'] as const) {
      change(MESSAGE.newChain, NLM.CREATE, () =>
        w
          .attributeText(1, TABLE)
          .attributeText(3, hook)
          .nested(4, () => w.attribute(1, big(HOOKS[hook])).attribute(2, big(PRIORITY)))
          .attribute(5, big(VERDICT.accept))
          .attributeText(7, 'filter'),
      );
      for (const expressions of rulesOf(hook, family, rules))
        change(MESSAGE.newRule, NLM.CREATE | NLM.APPEND | NLM.ACK, () =>
          w
            .attributeText(1, TABLE)
            .attributeText(2, hook)
            .nested(4, () => {
              for (const one of expressions) one(w);
            }),
        );
    }
  }
  const last = sequence;
  w.message(MESSAGE.end, NLM.REQUEST, ++sequence, () => head(w, 0, SUBSYSTEM));
  return last;
}

/** Asks for the table; the answer is it, or that there is none. */
export const encodeGetGuard = (w: MessageWriter, family: Family): MessageWriter =>
  w.message(MESSAGE.getTable, NLM.REQUEST, 1, () =>
    head(w, NUMBER[family]).attributeText(1, TABLE),
  );
