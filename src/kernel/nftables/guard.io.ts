// The table behind iptables' tables, in the kernel (see guard.ts). Where the kernel can, nobody else can change
// it while this process lives, not by `nft flush ruleset` either, and it stays when the process ends.
import { OpError } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import type { Family } from '../../net/ip.ts';
import { GUARD_TABLE, type GuardRules, guardChains } from './guard.ts';
import {
  decodeCounted,
  encodeDumpRules,
  type NftChain,
  type Ownership,
  writeTable,
} from './rules.ts';
import { dumpNetfilter, Transactions } from './transactions.io.ts';

export interface Guard {
  /** It says this, and nothing that it said before. Throws OpError. */
  set(rules: GuardRules): Promise<void>;
  /** It is gone, if it was there. Throws OpError where another process keeps it. */
  remove(): Promise<void>;
  /** What the kernel holds of it. Undefined: nothing, or there are no nf_tables. */
  look(): GuardLook | undefined;
  close(): void;
}

export interface GuardLook {
  /** As many as it was set with, so that it is whole. */
  readonly isWhole: boolean;
  /** Nobody else can change it while this process lives. */
  readonly isKept: boolean;
  /** Packets that it has dropped since it was set. */
  readonly dropped: number;
}

const REQUEST_BYTES_MAX = 1 << 16;
const EPERM = 1;
/** Of a kernel before 6.9 that is asked for a table that is kept: EINVAL, EOPNOTSUPP. */
const UNKNOWN_FLAG = [22, 95];
/** A process that ended a moment ago may still have it: the kernel closes its sockets in its own time. */
const PATIENCE = { times: 40, milliseconds: 25 };

/** `first`: what is asked of the kernel first; where it knows no `kept`, the table is anybody's. */
export function openGuard(
  family: Family,
  netnsPath?: string,
  first: Exclude<Ownership, 'own'> = 'kept',
): Guard {
  let socket: Transactions | undefined;
  let ownership: Ownership = first;
  let ruleCount: number | undefined;
  // Not before it is asked for: some kernels have no netfilter.
  const transactions = (): Transactions => {
    socket ??= new Transactions('guard', netnsPath);
    return socket;
  };
  const name = GUARD_TABLE;
  const replace = (chains: readonly NftChain[]): Promise<void> =>
    transactions().commit(REQUEST_BYTES_MAX, (writer, sequence) =>
      writeTable(writer, sequence, { family, name, ownership, chains }),
    );
  const counted = (): readonly number[] => countersOf(family, netnsPath);
  return {
    set: async (rules) => {
      const chains = guardChains(family, rules);
      try {
        await patiently(() => replace(chains));
      } catch (cause) {
        if (ownership !== 'kept' || !UNKNOWN_FLAG.includes(errnoOf(cause))) throw cause;
        ownership = 'anybody';
        await patiently(() => replace(chains));
      }
      ruleCount = chains.flatMap((chain) => chain.rules).length;
    },
    remove: async () => {
      if (counted().length > 0) await patiently(() => replace([]));
      ruleCount = undefined;
    },
    look: () => {
      const packets = counted();
      if (packets.length === 0) return undefined;
      return {
        isWhole: packets.length === ruleCount,
        isKept: ownership === 'kept',
        dropped: packets.reduce((sum, one) => sum + one, 0),
      };
    },
    close: () => {
      socket?.close();
      socket = undefined;
    },
  };
}

/** What the rules of it have counted; none where it is not, or where there are no nf_tables. */
function countersOf(family: Family, netnsPath: string | undefined): readonly number[] {
  const table = { family, name: GUARD_TABLE };
  try {
    return dumpNetfilter('guard', netnsPath, (w, n) => encodeDumpRules(w, n, table), decodeCounted);
  } catch {
    return [];
  }
}

const errnoOf = (cause: unknown): number => (cause instanceof OpError ? (cause.errno ?? 0) : 0);

async function patiently(work: () => Promise<void>): Promise<void> {
  const { signal } = new AbortController();
  for (let left = PATIENCE.times; ; left--) {
    try {
      return await work();
    } catch (cause) {
      if (errnoOf(cause) !== EPERM || left === 0) throw cause;
      await pause(PATIENCE.milliseconds, signal);
    }
  }
}
