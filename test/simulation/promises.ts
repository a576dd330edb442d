// What callers were told: from a successful ADD on, the address is the handle's until somebody asks
// for its release.
import type { Ip } from '../../src/net/ip.ts';
import type { Connection } from './network.ts';
import type { Micros } from './scheduler.ts';

/** A request for addresses, as it was first made. */
export interface Intent {
  readonly calledAt: Micros;
  readonly connection: Connection;
  readonly requested: readonly Ip[];
  readonly kept: boolean;
  /** A pool was asked for by name. */
  readonly named: boolean;
}

export class Promises {
  readonly intents = new Map<string, Intent>();
  private readonly given = new Map<string, readonly Ip[]>();
  private readonly freed = new Set<string>();

  asked(handle: string, intent: Intent): void {
    if (!this.intents.has(handle)) this.intents.set(handle, intent);
  }

  /** ADD was answered. A release that was asked for meanwhile may come any time. */
  promised(handle: string, ips: readonly Ip[]): void {
    if (!this.freed.has(handle)) this.given.set(handle, ips);
  }

  /** Its release was asked for; for good, unless the handle is one that comes back. */
  waived(handle: string, forGood = true): void {
    this.given.delete(handle);
    if (forGood) this.freed.add(handle);
  }

  of(handle: string): readonly Ip[] {
    return this.given.get(handle) ?? [];
  }

  isWaived(handle: string): boolean {
    return this.freed.has(handle);
  }

  get all(): ReadonlyMap<string, readonly Ip[]> {
    return this.given;
  }
}
