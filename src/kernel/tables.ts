// The packet filter port: iptables tables and IP sets, changed by transactions through kept-open
// restore children. Twins: iptables/ and ipset/ (.io.ts) and memory-tables.ts, both under tables.cases.ts.

import type { Cidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter';

/** A chain's rules as text after `-A <chain> `, in iptables-save's own spelling where read back. */
export type ChainRules = readonly string[];

/** A table as `iptables-save` shows it: every chain with its rules; kernel chains included. */
export type TableContent = ReadonlyMap<string, ChainRules>;

/** One transaction on one table, in restore syntax without `*table` and `COMMIT`. */
export interface TableTransaction {
  readonly table: TableName;
  /** e.g. `:cali-FORWARD - [0:0]` (makes or flushes; a kernel chain keeps its rules), `-A ...`, `-I ...`, `-D ...`, `-X ...`. */
  readonly lines: readonly string[];
}

/** A rule as iptables-save shows it, and what it has matched since it was written. */
export interface RuleCount {
  readonly text: string;
  readonly packets: number;
  readonly bytes: number;
}

/** By chain, rules in order. */
export type TableCounts = ReadonlyMap<string, readonly RuleCount[]>;

export interface Tables {
  /** Reads a table with the matching save command. */
  read(table: TableName): Promise<TableContent>;
  /** All tables in one reading, for less than a table each; one that is not there holds nothing. */
  readAll?(): Promise<ReadonlyMap<TableName, TableContent>>;
  /** The whole table's counters in one reading; the memory twin has no packets to count. */
  counts?(table: TableName): Promise<TableCounts>;
  /**
   * A number that every change to a table of this namespace changes that was not committed here or
   * by other Tables of this process. Undefined where the kernel does not tell.
   */
  generation?(): number | undefined;
  /** Longer transactions cost more than their parts would; absent: they do not. */
  readonly linesMax?: number;
  /** Absent where the kernel cannot, or these tables are dear at no size. */
  forwards?(): Forwards;
  /** All or nothing per table; throws OpError with the refused line. */
  commit(transaction: TableTransaction): Promise<void>;
  close(): Promise<void>;
}

/** Connections to a place go to one of the endpoints, by chance. */
export interface Forward {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly ip: Ip;
  readonly port: number;
  readonly endpoints: readonly { readonly ip: Ip; readonly port: number }[];
  /** Set in the mark of packets that shall be masqueraded: those of an endpoint to itself, and */
  readonly mark: number;
  /** those from outside of this range; absent: no others; `all`: all. */
  readonly masqueraded: Cidr | 'all' | undefined;
}

/** Places of one address family that are served before any rule of these tables is looked at. */
export interface Forwards {
  /** These and no others; done when it returns. Throws OpError: then it is as it was before. */
  set(forwards: readonly Forward[]): void;
  /** None is served so any more. */
  close(): void;
}

export interface IpSetMeta {
  readonly name: string;
  readonly type: 'hash:net' | 'hash:ip' | 'hash:ip,port';
  readonly family: 'inet' | 'inet6';
  readonly maxElements: number;
}

export interface IpSet extends IpSetMeta {
  readonly members: ReadonlySet<string>;
}

export type IpSetChange =
  | { readonly kind: 'create'; readonly set: IpSetMeta }
  | { readonly kind: 'add'; readonly name: string; readonly member: string }
  | { readonly kind: 'delete'; readonly name: string; readonly member: string }
  /** Both have each other's members and limits from now on, in one moment; they are of one type. */
  | { readonly kind: 'swap'; readonly name: string; readonly other: string }
  | { readonly kind: 'destroy'; readonly name: string };

export interface IpSets {
  /** Every set whose name starts with `prefix`, with members. */
  read(prefix: string): Promise<readonly IpSet[]>;
  /** How many members each of these sets has: little work beside reading them. */
  sizes?(prefix: string): Promise<ReadonlyMap<string, number>>;
  /** In order; resolves when the kernel has them. Throws OpError on the first refusal; of what came
   *  before in the same call, nothing, some or all is there: read anew. */
  commit(changes: readonly IpSetChange[]): Promise<void>;
  close(): Promise<void>;
}
