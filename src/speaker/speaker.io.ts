// The speaker of one node, wired: datastore watches -> demand -> sessions and kernel routes; what
// the sessions learn -> routing table -> kernel routes and the other sessions. Stopping it says
// nothing to anybody and leaves the kernel's routes where they are.
import { type DesiredPeer, endpointOf } from '../bgp/peers.ts';
import type { RouteReport, SpeakerReport } from '../bgp/status.ts';
import type { OwnIdentity } from '../bgp/table/policy/import.ts';
import type { Cidr } from '../net/cidr.ts';
import { Routing } from '../routes/routing.io.ts';
import { BfdPeers } from './bfd/bfd.io.ts';
import { bfdPeersOf } from './bfd/wanted.ts';
import { Exchange } from './exchange.io.ts';
import { Listeners } from './listeners.io.ts';
import { Convergence } from './operation/convergence.ts';
import { dumpOf } from './operation/dump.ts';
import { readinessOf, type SpeakerHealth, speaking } from './operation/readiness.ts';
import { peerReport } from './operation/report.ts';
import { routesOf } from './operation/routes.ts';
import type { PeerStatus, SpeakerParts } from './parts.ts';
import type { PeeringListener } from './peering.io.ts';
import { PeeringAddresses } from './peering-addresses.io.ts';
import { administrativeShutdown, Peerings, type RunningPeer } from './peerings.io.ts';
import { Announced } from './resources/announced.io.ts';
import {
  type Demand,
  gatewaysOf,
  identityOf,
  listenAddresses,
  peeringAddresses,
} from './resources/demand.ts';
import { Draining } from './resources/draining.io.ts';
import { Resources } from './resources/resources.io.ts';
import { Sweep } from './sweep.io.ts';

/** The API server may come up after us, and by our routes. */
const SERVICES_PATIENCE_MS = 5000;

/** Starts; runs until `close`. */
export const openSpeaker = (parts: SpeakerParts): Speaker => new Speaker(parts);

export class Speaker {
  private readonly parts: SpeakerParts;
  private readonly resources: Resources;
  private readonly draining: Draining;
  private readonly announced: Announced;
  private readonly exchange: Exchange;
  private readonly routing: Routing;
  private readonly peerings: Peerings;
  private readonly listeners: Listeners;
  private readonly peeringAddresses: PeeringAddresses;
  private readonly bfd: BfdPeers;
  readonly convergence: Convergence;
  private readonly sweep = new Sweep(() => {
    this.routing.sweep();
    this.peeringAddresses.sweep();
  });
  private readonly startedAt: number;
  private readonly startedOn: Date;
  private patience: NodeJS.Timeout | undefined;
  /** Sessions have been begun. */
  private begun = false;

  constructor(parts: SpeakerParts) {
    this.parts = parts;
    this.startedAt = parts.clock.now();
    this.startedOn = parts.clock.date();
    const { kernel, clock, log } = parts;
    const demand = () => ({
      own: this.resources.own,
      pools: this.demand.pools,
      addresses: [this.demand.self?.ipv4, this.demand.self?.ipv6].filter((a) => a !== undefined),
      statics: gatewaysOf(this.demand.peers),
      ignoredInterfaces: this.demand.cluster.ignoredInterfaces,
    });
    const look = (): void => this.convergence.look();
    this.exchange = new Exchange({
      clock,
      session: (key) => this.peerings.at(key)?.peering,
      learned: (changes) => this.routing.learned(changes),
      interfaceTo: (nextHop) => this.routing.interfaceTo(nextHop),
      hasWay: (nextHop) => this.routing.hasWay(nextHop),
      idle: () => {
        this.sweep.decided();
        look();
      },
    });
    this.peerings = new Peerings({
      ...parts,
      forwardingPreserved: () => this.routing.isRestart(),
      listener: (running) => this.listenerOf(running),
      changed: ({ key, peer }) => this.exchange.setPeer(key, peer),
      ended: (key) => this.exchange.removePeer(key),
    });
    this.listeners = new Listeners(log, (socket, peer) => this.peerings.accept(socket, peer));
    this.peeringAddresses = new PeeringAddresses(kernel, log);
    this.bfd = new BfdPeers({ clock, log });
    this.bfd.onDown((key) => this.peerings.at(key)?.peering.bfdDown());
    this.routing = new Routing({
      ...{ kernel, clock, log, demand, settled: look },
      otherWays: () => this.exchange.waysChanged(),
    });
    this.convergence = new Convergence(clock, () => this.exchange.isIdle && this.routing.isSettled);
    this.draining = new Draining({
      kubernetes: parts.kubernetes,
      node: parts.kubernetesNode ?? parts.node,
      log,
      changed: (draining) => this.exchange.setShutdown(draining),
    });
    this.announced = new Announced({
      kernel,
      kubernetes: parts.kubernetes,
      node: parts.kubernetesNode ?? parts.node,
      log,
      changed: () => this.heardOfAnnounced(),
    });
    this.resources = new Resources({
      ...parts,
      changed: () => this.heardOfStore(),
      endpoints: (touched) => this.heardOfEndpoints(touched),
    });
  }

  get peers(): readonly PeerStatus[] {
    return this.peerings.states;
  }

  get report(): SpeakerReport {
    const { exchange, peers, routing } = this;
    const report = peers.map((status) =>
      peerReport(status, exchange.table, this.bfd.stateOf(endpointOf(status.peer))),
    );
    const problems = [...this.demand.problems, ...this.announced.problems];
    return { node: this.parts.node, peers: report, routeProblems: routing.problems, problems };
  }

  /** The routing table; with a prefix, only that one. */
  routes(prefix?: Cidr): Iterable<RouteReport> {
    return routesOf(this.exchange.table, this.peers, prefix);
  }

  /** The routing table in the MRT format. */
  dump(): Iterable<Uint8Array> {
    const { exchange, peers, parts, startedOn } = this;
    const { routerId } = this.identity;
    const facts = { table: exchange.table, peers, node: parts.node, routerId };
    return dumpOf({ ...facts, now: parts.clock.date(), startedAt: startedOn });
  }

  get health(): SpeakerHealth {
    return readinessOf({
      inSync: this.resources.inSync,
      node: this.parts.node,
      self: this.demand.self,
      listenErrors: this.listeners.errors,
      peers: this.peers,
      silent: this.demand.silent,
      upForMs: this.parts.clock.now() - this.startedAt,
      restarting: this.exchange.table.deferred,
    });
  }

  /** Peers are asked to look for other ways (RFC 8326), while this one still works. */
  drain(): void {
    this.draining.begin();
  }

  /** The node leaves: the peers hear why, and drop its routes at once. `close` comes after it. */
  shutdown(text: string): void {
    this.peerings.stopAll(administrativeShutdown(text));
  }

  /** The sessions end without a word; the kernel's routes stay. BFD says that it is no failure. */
  async close(): Promise<void> {
    this.resources.close();
    this.draining.close();
    this.announced.close();
    this.sweep.close();
    clearTimeout(this.patience);
    this.exchange.close();
    this.routing.close();
    this.listeners.close();
    this.peeringAddresses.close();
    this.peerings.stopAll();
    await this.bfd.close();
  }

  private get demand(): Demand {
    return this.resources.demand;
  }

  // An address that another node still tells of moved.
  private heardOfEndpoints(touched: readonly Cidr[]): void {
    const { resources } = this;
    const { table } = this.exchange;
    if (touched.every((a) => !resources.isToldAlone(a) && !table.isLearned(a))) return;
    this.routing.changed();
    this.tellNews();
  }

  private heardOfStore(): void {
    this.announced.set(this.demand);
    this.routing.changed();
    // Peers that keep our routes while we restart drop what our first words leave out.
    if (this.begun || this.announced.inSync) this.begin();
    else this.patience ??= setTimeout(() => this.begin(), SERVICES_PATIENCE_MS);
  }

  private heardOfAnnounced(): void {
    if (this.begun) this.tellNews();
    else if (this.announced.inSync) this.begin();
  }

  private begin(): void {
    clearTimeout(this.patience);
    // A reflector tells nobody a part of what it will know: they would drop the rest.
    const waits = this.routing.isRestart() || this.demand.self?.clusterId !== undefined;
    if (!this.begun && waits) this.exchange.defer(speaking(this.wanted, this.demand.silent));
    this.begun = true;
    this.reconcilePeers();
    this.tellNews();
    this.considerSweep();
  }

  private get wanted(): readonly DesiredPeer[] {
    const { peers } = this.demand;
    const { listenPort: port } = this.parts;
    return port ? peers.map((peer) => ({ ...peer, port })) : peers;
  }

  get identity(): OwnIdentity {
    return identityOf(this.demand, this.parts.routerId);
  }

  private reconcilePeers(): void {
    const { demand, wanted } = this;
    const port = this.parts.listenPort ?? demand.listenPort;
    this.peeringAddresses.set(peeringAddresses(demand));
    this.listeners.reconcile(listenAddresses(demand), port, demand.peers);
    const { node } = this.parts;
    const leaving = demand.self ? undefined : `node ${node} has left the cluster`;
    this.peerings.reconcile(wanted, this.identity.routerId, leaving);
    this.bfd.set(bfdPeersOf(wanted, this.identity.addresses));
  }

  private listenerOf(running: RunningPeer): PeeringListener {
    const { key, log } = running;
    const { address } = running.peer;
    return {
      established: (negotiated, localAddress) => {
        log.info({ address }, 'established');
        // Without a configured source the next hop is whatever address the kernel chose.
        const local = running.peer.localAddress ?? localAddress ?? this.identity.addresses[0]!;
        this.exchange.up(key, running.peer, local, negotiated);
      },
      update: (body) => this.onUpdate(running, body),
      refresh: (family, subtype) => this.exchange.refresh(key, family, subtype),
      down: (error, keeps) => {
        log.warn({ address, error, keeps }, 'down');
        this.exchange.down(key, keeps);
      },
    };
  }

  private onUpdate({ key, peer, peering, log }: RunningPeer, body: Uint8Array): void {
    this.convergence.begin();
    const { reset, faults = [], endOfRib } = this.exchange.receive(key, body);
    for (const fault of faults) log.warn({ fault }, 'UPDATE at fault');
    if (reset) peering.reject(reset);
    if (endOfRib) {
      this.sweep.told(peer.address);
      this.considerSweep();
    }
  }

  private tellNews(): void {
    const { table } = this.exchange;
    table.setIdentity(this.identity);
    const { pools, cluster, self } = this.demand;
    table.setNormalPriorities(cluster.normalPriorities);
    // A reflector passes on what others announce of these.
    const reflected = [...cluster.serviceExternalIps, ...cluster.serviceLoadBalancerIps];
    table.setPools(pools, self?.clusterId ? reflected : []);
    table.setOwn(this.announced.routes(this.resources.own.announced, this.demand));
    this.exchange.soon();
  }

  private considerSweep(): void {
    this.sweep.consider(this.demand.peers.map(({ address }) => address));
  }
}
