// The routing table joined to the sessions: what they hear goes in at once, and the table works in
// slices between which the sockets and the sessions' timers have their turn.
import type { Clock, Milliseconds } from '../base/clock.ts';
import { type DesiredPeer, endpointOf } from '../bgp/peers.ts';
import type { Agreed, PeerPolicy } from '../bgp/table/peer.ts';
import type { OwnIdentity } from '../bgp/table/policy/import.ts';
import type { Received } from '../bgp/table/receive.ts';
import type { Kept } from '../bgp/table/stale.ts';
import { type LearnedPrefix, Table } from '../bgp/table/table.ts';
import type { Family, Ip } from '../net/ip.ts';

/** What a session can do for the exchange. */
export interface ExchangeSession {
  sendBytes(messages: readonly Uint8Array[]): void;
  /** Octets that wait for the peer to read. */
  readonly queuedOctets: number;
}

export interface ExchangeParts {
  readonly clock: Clock;
  /** Established sessions by their keys. */
  readonly session: (key: string) => ExchangeSession | undefined;
  /** Learned prefixes have other next hops, or none. */
  readonly learned?: (changes: readonly LearnedPrefix[]) => void;
  /** Over which interface a next hop is reached. */
  readonly interfaceTo?: (nextHop: Ip) => string | undefined;
  readonly hasWay?: (nextHop: Ip) => boolean;
  /** All is decided, and told to whoever reads. */
  readonly idle?: () => void;
}

/** A portion that is begun is ended, and memory is freed in between: all in all it is less than 5 ms. */
const SLICE_MS = 3;
/** A peer for whom more waits than this is told the rest when it has read on. */
const QUEUED_OCTETS = 1024 * 1024;
/** How soon peers that read too slowly are looked at again. */
const HELD_UP_MS = 20;

export class Exchange {
  readonly table: Table;
  private readonly parts: ExchangeParts;
  private immediate: NodeJS.Immediate | undefined;
  /** Nothing is to be decided or told. */
  isIdle = true;
  private timer: NodeJS.Timeout | undefined;

  constructor(parts: ExchangeParts) {
    this.parts = parts;
    const hasRoom = (key: string) => (parts.session(key)?.queuedOctets ?? 0) < QUEUED_OCTETS;
    this.table = new Table({
      hasRoom,
      send: (keys, messages) => {
        for (const key of keys) parts.session(key)?.sendBytes(messages);
      },
      ...(parts.learned ? { best: parts.learned } : {}),
      ...(parts.interfaceTo ? { interfaceTo: parts.interfaceTo } : {}),
      ...(parts.hasWay ? { hasWay: parts.hasWay } : {}),
    });
    this.table.makeRoom();
  }

  setIdentity(own: OwnIdentity): void {
    this.table.setIdentity(own);
    this.soon();
  }

  /** Next hops are reached in other ways, or not at all. */
  waysChanged(): void {
    this.table.waysChanged();
    this.soon();
  }

  /** After a restart nothing is decided or told before these peers have told all (RFC 4724). */
  defer(peers: readonly DesiredPeer[]): void {
    const keeping = peers.filter(({ gracefulRestartSeconds = 0 }) => gracefulRestartSeconds > 0);
    const awaited = keeping.map((peer) => ({ key: endpointOf(peer), families: peer.families }));
    this.table.defer(awaited, this.parts.clock.now());
  }

  up(key: string, policy: PeerPolicy, localAddress: Ip, agreed: Agreed): void {
    this.table.peerUp(key, policy, localAddress, agreed);
    this.soon();
  }

  down(key: string, keeps: Kept): void {
    this.table.peerDown(key, keeps, this.parts.clock.now());
    this.soon();
  }

  /** Another policy for a session that stays. */
  setPeer(key: string, policy: PeerPolicy): void {
    this.table.setPeer(key, policy);
    this.soon();
  }

  /** The session is no longer wanted: nothing of it stays. */
  removePeer(key: string): void {
    this.table.removePeer(key);
    this.soon();
  }

  /** Whether peers are told to look for other ways (RFC 8326). */
  setShutdown(shutdown: boolean): void {
    this.table.setShutdown(shutdown);
    this.soon();
  }

  receive(key: string, body: Uint8Array): Received {
    const received = this.table.receive(key, body);
    this.soon();
    return received;
  }

  refresh(key: string, family: Family, kind: 'request' | 'begin' | 'end'): void {
    this.table.refresh(key, family, kind, this.parts.clock.now());
    this.soon();
  }

  /** The table was changed: it works soon, so that what arrives together travels together. */
  soon(): void {
    this.isIdle = false;
    this.immediate ??= setImmediate(() => this.work());
  }

  close(): void {
    clearImmediate(this.immediate);
    clearTimeout(this.timer);
  }

  private work(): void {
    this.immediate = undefined;
    clearTimeout(this.timer);
    const { clock } = this.parts;
    const progress = this.table.work(SLICE_MS, () => clock.now());
    this.isIdle = progress !== 'busy';
    if (progress === 'busy') this.soon();
    else this.wake(progress === 'heldUp' ? HELD_UP_MS : undefined);
    if (this.isIdle) this.parts.idle?.();
  }

  private wake(afterMs: Milliseconds | undefined): void {
    const deadline = this.table.nextDeadline;
    const left =
      deadline === undefined ? undefined : Math.max(0, deadline - this.parts.clock.now());
    const wait = afterMs ?? left;
    if (wait !== undefined) this.timer = setTimeout(() => this.soon(), Math.ceil(wait));
  }
}
