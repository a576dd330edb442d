// What the guard behind the rules of one address family tells of itself.
import type { Family } from '../../net/ip.ts';

export interface GuardReport {
  readonly family: Family;
  /** Whether it is asked for. */
  readonly enabled: boolean;
  readonly stands: boolean;
  /** Nobody else can take it away while the agent lives, not by `nft flush ruleset` either. */
  readonly isKept: boolean;
  /** Packets that it has stopped since it was written. */
  readonly dropped: number;
  /** Why it does not stand. */
  readonly why?: string;
}
