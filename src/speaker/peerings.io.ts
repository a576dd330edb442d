// The sessions of the node: begins, ends and changes them as the demand says, and gives each incoming
// connection to the session that it belongs to.
import type { Socket } from 'node:net';
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { CEASE, ERROR, type Notification, notification } from '../bgp/codec/notification.ts';
import { shutdownData } from '../bgp/codec/shutdown.ts';
import { planPeers } from '../bgp/peers/plan.ts';
import { type DesiredPeer, endpointOf } from '../bgp/peers.ts';
import type { OurRestart, SessionConfig } from '../bgp/session.ts';
import { setHopsOf } from '../kernel/tcp.io.ts';
import type { Ip } from '../net/ip.ts';
import { Peering, type PeeringListener, type PeeringState } from './peering.io.ts';
import { hopLimits } from './transport.io.ts';
import { Turns } from './turns.io.ts';

/** A session that runs. */
export interface RunningPeer {
  /** Address and port; stays while the session does. */
  readonly key: string;
  /** Its facts as they are now. */
  readonly peer: DesiredPeer;
  readonly config: SessionConfig;
  readonly log: Log;
  readonly peering: Peering;
}

export interface PeeringsParts {
  readonly clock: Clock;
  readonly log: Log;
  /** A random number of 0 to 1. */
  readonly random: () => number;
  /** For peers that say nothing. */
  readonly holdTimeSeconds: number;
  /** The kernel has routes of a run before this one. */
  readonly forwardingPreserved: () => boolean;
  /** What is done with what a session tells. It tells nothing before this has answered. */
  readonly listener: (running: RunningPeer) => PeeringListener;
  /** Facts changed that are not the session's: policy. */
  readonly changed: (running: RunningPeer) => void;
  /** A session was ended by us; it tells nothing any more. */
  readonly ended: (key: string) => void;
}

export class Peerings {
  private readonly parts: PeeringsParts;
  private readonly running = new Map<string, { peer: DesiredPeer } & RunningPeer>();
  private readonly turns: Turns;
  private readonly startedAt: Milliseconds;
  private routerId: Ip | undefined;

  constructor(parts: PeeringsParts) {
    this.parts = parts;
    this.turns = new Turns(parts.clock);
    this.startedAt = parts.clock.now();
  }

  at(key: string): RunningPeer | undefined {
    return this.running.get(key);
  }

  get all(): readonly RunningPeer[] {
    return [...this.running.values()];
  }

  get states(): readonly (PeeringState & { readonly peer: DesiredPeer })[] {
    return this.all.map(({ peer, peering }) => ({ peer, ...peering.state }));
  }

  /**
   * Has these sessions and no others; another router id begins all anew. `leaving`: why this node
   * wants no peers at all any more, in words for their operators.
   */
  reconcile(wanted: readonly DesiredPeer[], routerId: Ip, leaving?: string): void {
    const unwanted = leaving === undefined ? DECONFIGURED : administrativeShutdown(leaving);
    if (this.routerId !== routerId) this.stopAll(leaving ? unwanted : OTHER_CONFIGURATION);
    this.routerId = routerId;
    const peers = new Map([...this.running].map(([key, { peer }]) => [key, peer]));
    const plan = planPeers(peers, wanted);
    for (const { endpoint, replaced } of plan.stop)
      this.stop(endpoint, replaced ? OTHER_CONFIGURATION : unwanted);
    for (const peer of plan.change) {
      const running = this.running.get(endpointOf(peer))!;
      running.peer = peer;
      this.parts.changed(running);
    }
    for (const peer of plan.start) this.start(peer, routerId);
  }

  accept(socket: Socket, address: Ip): void {
    const here = this.all.filter(
      ({ peer }) =>
        peer.address === address &&
        (peer.localAddress ?? socket.localAddress) === socket.localAddress,
    );
    // Two sessions to one address differ by the peer's port, which an incoming connection does not
    // show: the one that still needs a connection has it.
    const taker = here.find(({ peering }) => !peering.established) ?? here[0];
    if (taker && isGuarded(socket, taker.peer)) taker.peering.accept(socket);
    else socket.destroy();
  }

  /** Without a reason the peers are told nothing: they see their connections end. */
  stopAll(reason?: Notification): void {
    for (const key of [...this.running.keys()]) this.stop(key, reason);
  }

  private stop(key: string, reason?: Notification): void {
    const running = this.running.get(key);
    running?.peering.stop(reason);
    this.running.delete(key);
    this.parts.ended(key);
  }

  private start(peer: DesiredPeer, routerId: Ip): void {
    const { clock, random, holdTimeSeconds, listener, forwardingPreserved } = this.parts;
    const log = this.parts.log.child({ peer: peer.name, node: peer.node });
    const start = { forMs: clock.now() - this.startedAt, preserved: forwardingPreserved() };
    const config = configOf(peer, routerId, holdTimeSeconds, start);
    const key = endpointOf(peer);
    const running = { key, peer, config, log } as { peer: DesiredPeer; peering: Peering } & Omit<
      RunningPeer,
      'peer' | 'peering'
    >;
    const told = listener(running);
    const { turns } = this;
    running.peering = new Peering({ peer, config, clock, log, random, listener: told, turns });
    this.running.set(key, running);
  }
}

// The listener's hop limits are those of the least guarded peer; a connection gets its own.
function isGuarded(socket: Socket, peer: DesiredPeer): boolean {
  if (!peer.ttlSecurityHops) return true;
  try {
    setHopsOf(socket, peer.family, hopLimits(peer));
    return true;
  } catch {
    return false;
  }
}

const configOf = (
  peer: DesiredPeer,
  routerId: Ip,
  holdTimeSeconds: number,
  start: Start,
): SessionConfig => ({
  localAsn: peer.localAsn,
  peerAsn: peer.asn,
  routerId,
  families: peer.families,
  passive: peer.passive,
  holdTimeSeconds: peer.holdTimeSeconds ?? holdTimeSeconds,
  keepaliveSeconds: peer.keepaliveSeconds,
  gracefulRestart: restartOf(peer, start),
  longLivedSeconds: peer.longLivedSeconds,
  addPath: peer.addPath,
  extendedNextHop: peer.family === 6,
});

/** How long ago the program started, and whether the kernel had kept its routes until then. */
interface Start {
  readonly forMs: Milliseconds;
  readonly preserved: boolean;
}

// The kernel keeps our routes whatever becomes of this program, but not over a reboot.
function restartOf(peer: DesiredPeer, start: Start): OurRestart | undefined {
  const { gracefulRestartSeconds: restartSeconds = 0, families } = peer;
  if (restartSeconds === 0) return undefined;
  // Whether this program has run before nobody knows; a peer that kept nothing does nothing.
  const restarting = start.forMs < restartSeconds * 1000;
  const forwardingPreserved = start.preserved ? families : [];
  // Whose routes are to live long, they outlast more than a restart.
  const notifies = (peer.longLivedSeconds ?? 0) > 0;
  return { restartSeconds, restarting, forwardingPreserved, notifies };
}

/** With a text for the operators of the other side (RFC 9003). */
export const administrativeShutdown = (text: string): Notification =>
  notification(ERROR.cease, CEASE.administrativeShutdown, shutdownData(text));

const OTHER_CONFIGURATION = notification(ERROR.cease, CEASE.otherConfigurationChange);
const DECONFIGURED = notification(ERROR.cease, CEASE.peerDeconfigured);
