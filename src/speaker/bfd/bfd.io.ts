// BFD for the speaker: which peers are watched, what is known of them, and who is lost.
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { pathKey } from '../../bfd/demultiplex.ts';
import { type BfdState, diagnosticText } from '../../bfd/packet.ts';
import { isFailure } from '../../bfd/session.ts';
import type { BfdSession } from './sessions.io.ts';
import type { FromThread, ThreadOptions, ToThread } from './thread.io.ts';

export interface BfdPeer extends BfdSession {
  /** The peer's; two peers on one path share a session. */
  readonly key: string;
}

export interface BfdReport {
  readonly state: BfdState;
  readonly since: Date;
  /** Why it left Up last, in the RFC's words, or why it cannot run. */
  readonly cause: string | undefined;
  /** Losses since the start. */
  readonly failures: number;
}

export interface BfdPeersParts extends ThreadOptions {
  readonly clock: Pick<Clock, 'date'>;
  readonly log: Log;
}

// The bundle has the thread beside the program.
const THREAD = import.meta.url.endsWith('.ts') ? './thread.io.ts' : './speaker-bfd.mjs';

export class BfdPeers {
  private readonly parts: BfdPeersParts;
  /** Begins with the first peer that wants it. */
  private thread: Worker | undefined;
  private peers: readonly BfdPeer[] = [];
  private readonly reports = new Map<string, BfdReport>();
  private readonly listeners: ((key: string) => void)[] = [];

  constructor(parts: BfdPeersParts) {
    this.parts = parts;
  }

  /** Watches these peers and no others. */
  set(peers: readonly BfdPeer[]): void {
    const was = JSON.stringify(this.peers);
    this.peers = peers;
    const wanted = new Map(peers.map((peer) => [pathKey(peer), peer]));
    for (const path of this.reports.keys()) if (!wanted.has(path)) this.reports.delete(path);
    const since = this.parts.clock.date();
    for (const path of wanted.keys()) {
      if (!this.reports.has(path))
        this.reports.set(path, { state: 'down', since, cause: undefined, failures: 0 });
    }
    if (was !== JSON.stringify(peers)) this.say({ kind: 'set', sessions: peers });
  }

  /** A session that was Up is lost, for another reason than that one side took it away. */
  onDown(listener: (key: string) => void): void {
    this.listeners.push(listener);
  }

  /** Undefined: the peer is not watched. */
  stateOf(key: string): BfdReport | undefined {
    const peer = this.peers.find((one) => one.key === key);
    return peer && this.reports.get(pathKey(peer));
  }

  /** Resolves when the peers know that this is no failure. */
  async close(): Promise<void> {
    const { thread } = this;
    if (!thread) return;
    const exited = new Promise((resolve) => thread.once('exit', resolve));
    this.say({ kind: 'close' });
    this.thread = undefined;
    await exited;
  }

  private say(message: ToThread): void {
    this.thread ??= this.begin();
    this.thread.postMessage(message);
  }

  private begin(): Worker {
    const { netnsPath } = this.parts;
    const thread = new Worker(new URL(THREAD, import.meta.url), { workerData: { netnsPath } });
    thread.on('message', (message: FromThread) => this.hear(message));
    // Only a programmer's error ends it by itself, and that ends the process.
    thread.on('error', (cause) => {
      throw cause;
    });
    thread.unref();
    return thread;
  }

  private hear(message: FromThread): void {
    const { path } = message;
    const report = this.reports.get(path);
    if (!report) return; // not wanted any more
    const { log, clock } = this.parts;
    if (message.kind === 'trouble') {
      const { cause } = message;
      if (cause === undefined) log.info({ path }, 'BFD can run');
      else log.error({ path, cause }, 'BFD cannot run');
      this.reports.set(path, { ...report, cause });
      return;
    }
    const { change } = message;
    const failed = isFailure(change);
    const failures = report.failures + (failed ? 1 : 0);
    const cause = change.state === 'down' ? diagnosticText(change.diagnostic) : undefined;
    this.reports.set(path, { state: change.state, since: clock.date(), cause, failures });
    log[failed ? 'warn' : 'info']({ path, ...change }, 'BFD session state');
    if (!failed) return;
    for (const peer of this.peers)
      if (pathKey(peer) === path) for (const listener of this.listeners) listener(peer.key);
  }
}
