// Cuts live connections that a change of policy denies: after the rules are in the kernel, the flows of
// the endpoints that the change is about are judged one by one, and what would be denied now loses its
// entry in connection tracking. Its next packet meets the rules like a first one. Of TCP, something is
// left in its place that keeps the other end from reviving it; that goes when policy allows it again. Of
// one that is over nobody says more, and its ports will be used anew: nothing is left.
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Connections } from '../../kernel/conntrack/conntrack.io.ts';
import type { Connection } from '../../kernel/conntrack/flow.ts';
import type { Ip } from '../../net/ip.ts';
import type { PolicyFacts } from '../../policy/calculate.ts';
import { ChangedEndpoints, denierOf } from '../../policy/conntrack/denied-now.ts';

export interface FlowCutterOptions {
  readonly facts: PolicyFacts;
  /** Whether the kernel may not hold the rules of all these facts. */
  readonly isBehind: () => boolean;
  readonly connections: Connections;
  /** The host's own addresses, as they are now. */
  readonly ownAddresses: () => ReadonlySet<string>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The pause after a look at what has changed; what comes meanwhile is looked at together. */
const GATHER_MILLISECONDS = 100;
/** And so many times as long as it took: a big table under steady changes takes a tenth of the time. */
const REST = 9;
/** Flows judged between two turns of the event loop: about a millisecond. */
const FLOWS_AT_ONCE = 100;

/** The oldest ones are left to expire by themselves. */
const BARRED_MAX = 10_000;

const nameOf = ({ flow }: Connection): string => flow.tuple.toString('latin1');

export class FlowCutter {
  private readonly options: FlowCutterOptions;
  private readonly changed: ChangedEndpoints;
  /** What is left in the place of cut connections. */
  private readonly barred = new Set<string>();
  /** Addresses to look at once more: when they were, the rules were not yet what is known, or it failed. */
  private pending: ReadonlySet<Ip> = new Set();
  private running = false;
  private again = false;
  /** Connections that were looked at, and that were cut. */
  judged = 0;
  cut = 0;

  /** What holds now is what later changes are compared with. */
  constructor(options: FlowCutterOptions) {
    this.options = options;
    this.changed = new ChangedEndpoints(options.facts);
    this.changed.take();
  }

  /** The kernel has been written. */
  written(): void {
    this.again = true;
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    const { log, signal } = this.options;
    this.running = true;
    while (this.again && !signal.aborted) {
      this.again = false;
      const startedAt = performance.now();
      const isBehind = this.options.isBehind();
      this.pending = new Set([...this.pending, ...this.changed.take()]);
      try {
        await this.judge([...this.pending]);
        // What begins until the rules are there is judged after them.
        if (!isBehind) this.pending = new Set();
      } catch (cause) {
        log.warn({ cause: messageOf(cause) }, 'connections that policy denies now were not cut');
      }
      const rest = Math.max(GATHER_MILLISECONDS, REST * (performance.now() - startedAt));
      await setTimeout(rest, undefined, { ref: false });
    }
    this.running = false;
  }

  private async judge(addresses: readonly Ip[]): Promise<void> {
    const { facts, connections, ownAddresses, log } = this.options;
    if (addresses.length === 0) return;
    const live = await connections.of(addresses);
    const isDenied = denierOf(facts, ownAddresses());
    const denied: Connection[] = [];
    const gone: Connection[] = [];
    for (const [i, connection] of live.entries()) {
      // Else it is a new connection of the ports of one that was cut.
      const isBar = connection.tcp === 'opening' && this.barred.has(nameOf(connection));
      if (!isDenied(connection)) {
        if (this.barred.delete(nameOf(connection)) && isBar) gone.push(connection);
      } else if (connection.tcp === 'over') gone.push(connection);
      else if (!isBar) denied.push(connection);
      if (i % FLOWS_AT_ONCE === FLOWS_AT_ONCE - 1) await setImmediate();
    }
    this.judged += live.length;
    await connections.delete(gone);
    if (denied.length === 0) return;
    await connections.cut(denied);
    this.cut += denied.length;
    for (const connection of denied) this.bar(connection);
    log.info({ judged: live.length, cut: denied.length }, 'connections that policy denies now');
  }

  private bar(connection: Connection): void {
    this.barred.add(nameOf(connection));
    if (this.barred.size > BARRED_MAX) this.barred.delete(this.barred.values().next().value!);
  }
}
