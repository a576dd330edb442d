// What a speaker waits for after its restart before it decides and tells (RFC 4724 section 4.1): until
// then its peers keep what it told before, and its kernel forwards as before. Deciding from what the
// first peers say would take routes from both.
import type { Milliseconds } from '../../base/clock.ts';
import type { Family } from '../../net/ip.ts';
import type { Agreed } from './peer.ts';

/** Selection_Deferral_Timer. */
export const DEFERRAL_MS = 60_000;
/**
 * Who is not up by then is away, and nobody waits for a dead node: the longest pause between two
 * attempts of a peer like us, and the handshake.
 */
export const ABSENCE_MS = 6000;

const FAMILIES = [4, 6] as const;

export class Deferral {
  /** Peers whose End-of-RIB is waited for. */
  private readonly awaited: Readonly<Record<Family, Set<string>>> = { 4: new Set(), 6: new Set() };
  private readonly absent = new Set<string>();
  private absentUntil = 0;
  private until = 0;

  /** The speaker has restarted; these peers may tell of these families. */
  begin(
    peers: readonly { readonly key: string; readonly families: readonly Family[] }[],
    now: Milliseconds,
  ): void {
    this.absentUntil = now + ABSENCE_MS;
    this.until = now + DEFERRAL_MS;
    for (const { key, families } of peers) {
      this.absent.add(key);
      for (const family of families) this.awaited[family].add(key);
    }
  }

  holds(family: Family): boolean {
    return this.awaited[family].size > 0;
  }

  /** Not waited for: who restarts itself, and who will not say when it has told all. */
  up(key: string, { families, gracefulRestart }: Agreed): void {
    this.absent.delete(key);
    const ends = gracefulRestart !== undefined && !gracefulRestart.restarting;
    for (const family of FAMILIES)
      if (!ends || !families.includes(family)) this.awaited[family].delete(key);
  }

  /** It may come back. */
  down(key: string): void {
    if (FAMILIES.some((family) => this.awaited[family].has(key))) this.absent.add(key);
  }

  told(key: string, family: Family): void {
    this.awaited[family].delete(key);
  }

  /** The peer is not wanted any more. */
  remove(key: string): void {
    this.absent.delete(key);
    for (const family of FAMILIES) this.awaited[family].delete(key);
  }

  expire(now: Milliseconds): void {
    if (now >= this.until) for (const family of FAMILIES) this.awaited[family].clear();
    if (now >= this.absentUntil) for (const key of [...this.absent]) this.remove(key);
  }

  get nextDeadline(): Milliseconds | undefined {
    if (!FAMILIES.some((family) => this.holds(family))) return undefined;
    return this.absent.size > 0 ? Math.min(this.absentUntil, this.until) : this.until;
  }
}
