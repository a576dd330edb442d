// The speaker of one node, wired: datastore watches -> demand -> sessions and kernel routes; what
// the sessions learn -> routing table -> kernel routes and the other sessions. Stopping it says
// nothing to anybody and leaves the kernel's routes where they are.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import type { DesiredPeer } from '../bgp/peers.ts';
import type { SpeakerReport } from '../bgp/status.ts';
import type { OwnIdentity } from '../bgp/table/policy/import.ts';
import type { Change, Store } from '../datastore/store.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { type Ip, ip } from '../net/ip.ts';
import type { OwnRoutes } from '../routes/own.ts';
import { type Demand, demandOf, listenAddresses } from './demand.ts';
import { Exchange } from './exchange.io.ts';
import { Listeners } from './listeners.io.ts';
import type { PeeringListener, PeeringState } from './peering.io.ts';
import { Peerings, type RunningPeer } from './peerings.io.ts';
import { readinessOf, type SpeakerHealth } from './readiness.ts';
import { peerReport } from './report.ts';
import { Routing } from './routing.io.ts';
import {
  addressesOf,
  concerns,
  isInSync,
  isToldAlone,
  newView,
  ownRoutesOf,
  PARTS,
  prefixOf,
  type SpeakerView,
  takeChanges,
  takeListing,
} from './view.ts';

export interface SpeakerParts {
  readonly store: Store;
  readonly kernel: Kernel;
  /** The node's name in the datastore. */
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly holdTimeSeconds: number;
  /** Undefined: the node's IPv4 address. */
  readonly routerId?: Ip | undefined;
  /** Overrides the datastore's port, own and peers' alike. */
  readonly listenPort?: number | undefined;
  /** A random number of 0 to 1. */
  readonly random: () => number;
}

export interface PeerStatus extends PeeringState {
  readonly peer: DesiredPeer;
}

/** Peers that have not come up this long after the start no longer hold back a sweep. */
export const SWEEP_AFTER_MS = 120_000;

/** Starts; runs until `close`. */
export const openSpeaker = (parts: SpeakerParts): Speaker => new Speaker(parts);

export class Speaker {
  private readonly parts: SpeakerParts;
  private readonly view: SpeakerView;
  private readonly exchange: Exchange;
  private readonly routing: Routing;
  private readonly stopping = new AbortController();
  private readonly peerings: Peerings;
  private readonly listeners: Listeners;
  private readonly finishedTelling = new Set<Ip>();
  private readonly startedAt: number;
  private demand: Demand;
  /** Problems of the demand that were logged. */
  private named: ReadonlySet<string> = new Set();
  /** Undefined: to be derived anew from the view. */
  private freshOwn: OwnRoutes | undefined;
  private sweepTimer: NodeJS.Timeout | undefined;

  constructor(parts: SpeakerParts) {
    this.parts = parts;
    this.startedAt = parts.clock.now();
    this.view = newView(parts.node);
    this.demand = demandOf(this.view);
    const { kernel, clock, log } = parts;
    const demand = () => ({
      own: this.own,
      learned: [...this.exchange.table.learned()].map(({ prefix, nextHops }) => ({
        prefix,
        nextHop: nextHops[0]!,
      })),
      pools: this.demand.pools,
      address: this.demand.self?.ipv4,
    });
    this.exchange = new Exchange({
      clock,
      session: (key) => this.peerings.at(key)?.peering,
      changed: () => this.routing.changed(),
    });
    this.peerings = new Peerings({
      ...parts,
      listener: (running) => this.listenerOf(running),
      changed: ({ key, peer }) => this.exchange.table.setPeer(key, peer),
    });
    this.listeners = new Listeners(log, (socket, peer) => this.peerings.accept(socket, peer));
    this.routing = new Routing({ kernel, clock, log, demand });
    for (const part of PARTS) {
      parts.store.watch(
        prefixOf(part, parts.node),
        {
          snapshot: ({ items }) => this.heardOfStore(takeListing(this.view, part, items)),
          changes: (changes) => {
            const mine = changes.filter((change) => concerns(this.view, change));
            if (mine.length === 0) return;
            if (part === 'workloadendpoints') this.heardOfEndpoints(mine);
            else this.heardOfStore(takeChanges(this.view, mine));
          },
          connection: ({ up, error }) =>
            up
              ? parts.log.info({ part }, 'datastore connection is up')
              : parts.log.warn({ part, cause: error?.message }, 'datastore connection lost'),
        },
        this.stopping.signal,
      );
    }
  }

  get peers(): readonly PeerStatus[] {
    return this.peerings.states;
  }

  get report(): SpeakerReport {
    const { exchange, peers, routing } = this;
    const report = peers.map((status) => peerReport(status, exchange.table));
    const { problems } = this.demand;
    return { node: this.parts.node, peers: report, routeProblems: routing.problems, problems };
  }

  get health(): SpeakerHealth {
    return readinessOf({
      inSync: isInSync(this.view),
      node: this.parts.node,
      self: this.demand.self,
      listenErrors: this.listeners.errors,
      peers: this.peers.map(({ peer, state }) => ({ address: peer.address, state })),
      upForMs: this.parts.clock.now() - this.startedAt,
    });
  }

  /** The sessions end without a word; the kernel's routes stay. */
  close(): void {
    this.stopping.abort();
    clearTimeout(this.sweepTimer);
    this.exchange.close();
    this.routing.close();
    this.listeners.close();
    this.peerings.stopAll();
  }

  private get own(): OwnRoutes {
    this.freshOwn ??= ownRoutesOf(this.view);
    return this.freshOwn;
  }

  // A pod in a block of this node, as nearly every one, changes nothing that anybody must hear; an
  // address that another node still tells of moved.
  private heardOfEndpoints(changes: readonly Change[]): void {
    const before = addressesOf(this.view, changes);
    this.logSkipped(takeChanges(this.view, changes));
    this.freshOwn = undefined;
    if (!isInSync(this.view)) return;
    const touched = [...before, ...addressesOf(this.view, changes)];
    const { view } = this;
    const { table } = this.exchange;
    if (touched.every((a) => !isToldAlone(view, a) && !table.isLearned(a))) return;
    this.routing.changed();
    this.tellNews();
  }

  private logSkipped(problems: readonly string[]): void {
    for (const problem of problems) this.parts.log.error({ problem }, 'object skipped');
  }

  private heardOfStore(problems: readonly string[]): void {
    this.logSkipped(problems);
    if (!isInSync(this.view)) return;
    this.demand = demandOf(this.view);
    this.freshOwn = undefined;
    this.reconcilePeers();
    this.routing.changed();
    this.tellNews();
    this.sweepTimer ??= setTimeout(() => this.routing.sweep(), SWEEP_AFTER_MS);
    this.considerSweep();
  }

  private get identity(): OwnIdentity {
    const { self, localAsn } = this.demand;
    const addresses = [self?.ipv4?.ip, self?.ipv6?.ip].filter((a) => a !== undefined);
    const routerId = this.parts.routerId ?? self?.ipv4?.ip ?? ip('0.0.0.1');
    return { asn: localAsn, routerId, addresses };
  }

  private reconcilePeers(): void {
    const { demand, parts } = this;
    const named = demand.problems.filter((problem) => !this.named.has(problem));
    for (const problem of named) parts.log.error({ problem }, 'not as asked for');
    this.named = new Set(demand.problems);
    const port = parts.listenPort;
    const addresses = listenAddresses(demand);
    this.listeners.reconcile(addresses, port ?? demand.listenPort);
    const wanted = port ? demand.peers.map((peer) => ({ ...peer, port })) : demand.peers;
    this.peerings.reconcile(wanted, this.identity.routerId);
  }

  private listenerOf(running: RunningPeer): PeeringListener {
    const { key, log } = running;
    const { address } = running.peer;
    return {
      established: (negotiated) => {
        log.info({ address }, 'established');
        const local = running.peer.localAddress ?? this.identity.addresses[0]!;
        this.exchange.up(key, running.peer, local, negotiated);
      },
      update: (body) => this.onUpdate(running, body),
      refresh: (family, subtype) => this.exchange.refresh(key, family, subtype),
      down: (error, keepStale) => {
        log.warn({ address, error, keepStale }, 'down');
        this.exchange.down(key, keepStale);
      },
    };
  }

  private onUpdate({ key, peer, peering, log }: RunningPeer, body: Uint8Array): void {
    const { reset, faults = [], endOfRib } = this.exchange.receive(key, body);
    for (const fault of faults) log.warn({ fault }, 'UPDATE at fault');
    if (reset) peering.reject(reset);
    if (endOfRib) {
      this.finishedTelling.add(peer.address);
      this.considerSweep();
    }
  }

  private tellNews(): void {
    const { table } = this.exchange;
    table.setIdentity(this.identity);
    table.setPools(this.demand.pools);
    table.setOwn(this.own.announced.map((prefix) => ({ prefix, source: 'block' })));
    this.exchange.soon();
  }

  // A route that an earlier run left is stale when every peer has told all it has. Without a peer
  // nobody can tell, so that only the time decides.
  private considerSweep(): void {
    const { peers } = this.demand;
    if (peers.length > 0 && peers.every(({ address }) => this.finishedTelling.has(address)))
      this.routing.sweep();
  }
}
