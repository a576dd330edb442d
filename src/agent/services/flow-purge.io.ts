// After each round: flows of UDP services whose endpoints changed are looked for, and the stale ones go.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Connections } from '../../kernel/conntrack/conntrack.io.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { changedServices, NO_UDP, staleFlows, type UdpServices } from './stale-flows.ts';

export interface FlowPurgeOptions {
  readonly connections: Connections;
  /** Where node ports are called. */
  readonly ownAddresses: () => readonly Ip[];
  readonly log: Log;
  /** A look took so many milliseconds, and ended so many flows. */
  readonly looked?: (took: number, flows: number) => void;
}

export class FlowPurge {
  private readonly options: FlowPurgeOptions;
  private before: UdpServices = NO_UDP;
  private queue: Promise<void> = Promise.resolve();
  /** Flows that have been deleted. */
  purged = 0;

  constructor(options: FlowPurgeOptions) {
    this.options = options;
  }

  /** The kernel holds rules for these now. Resolves when stale flows are gone. */
  written(now: UdpServices): Promise<void> {
    const changed = changedServices(this.before, now);
    this.before = now;
    if (changed.addresses.size + changed.nodePorts.size === 0) return this.queue;
    this.queue = this.queue.then(() => this.purge(changed));
    return this.queue;
  }

  private async purge(changed: UdpServices): Promise<void> {
    const { connections, ownAddresses, log, looked } = this.options;
    const startedAt = performance.now();
    try {
      const called = [...changed.addresses.keys()].flatMap((place) => {
        const ip = parseIp(place.replace(/:\d+$/, '').replace(/[[\]]/g, ''));
        return ip ? [ip] : [];
      });
      const own = changed.nodePorts.size > 0 ? ownAddresses() : [];
      const stale = staleFlows(await connections.of([...called, ...own]), changed);
      await connections.delete(stale);
      this.purged += stale.length;
      looked?.(performance.now() - startedAt, stale.length);
    } catch (cause) {
      log.warn({ cause: messageOf(cause) }, 'stale UDP flows of services were not deleted');
    }
  }
}
