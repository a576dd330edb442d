// The routing table of a speaker: what the peers told, which path to each prefix is the best, and
// what each peer is told. Changed in place, because it may be large. Hearing is immediate; deciding
// and telling are done by `work` in slices, so that whoever calls stays in time for his keepalives.
import type { Milliseconds } from '../../base/clock.ts';
import type { Asn } from '../../net/asn.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import { CEASE, ERROR, notification } from '../codec/notification.ts';
import { Deferral } from './deferral.ts';
import { Neighbours } from './neighbours.ts';
import type { Delivery } from './out/batch.ts';
import { type ExportPool, ExportRanges } from './out/export.ts';
import { Exports } from './out/exports.ts';
import { Outbox } from './out/outbox.ts';
import type { LearnedPrefix, Progress, TableOutputs } from './outputs.ts';
import { type OwnRoute, OwnRoutes } from './own-routes.ts';
import { type Agreed, type Peer, type PeerPolicy, pathsMaxOf } from './peer.ts';
import { type Conditions, DEFAULT_PRIORITIES, type NormalPriorities } from './policy/conditions.ts';
import { asksForInterfaces } from './policy/filter.ts';
import type { OwnIdentity } from './policy/import.ts';
import { Reach } from './reach.ts';
import { type Received, receiveUpdate } from './receive.ts';
import { AttributeSets } from './routes/attribute-sets.ts';
import { ROOM } from './routes/columns.ts';
import { Rib } from './routes/rib.ts';
import type { Kept } from './stale.ts';
import { Walks } from './walks.ts';
import { explain, type PathReport } from './why.ts';

export type { LearnedPrefix, Progress, TableOutputs } from './outputs.ts';

const FAMILIES = [4, 6] as const;
/** Prefixes decided in one go. */
const DECIDED_AT_ONCE = 64;
/** More changes than this are told before more is decided. */
const CHANGES_MAX = 32_768;

export class Table {
  private readonly outputs: TableOutputs;
  private readonly sets = new AttributeSets();
  private readonly neighbours: Neighbours;
  private readonly walks = new Walks();
  private readonly deferral = new Deferral();
  private readonly ribs: Readonly<Record<Family, Rib>>;
  private readonly exports: Readonly<Record<Family, Exports>>;
  private readonly own: OwnRoutes;
  private readonly conditions: Conditions;
  private readonly reach: Reach;
  private readonly outbox = new Outbox((delivery) => this.deliver(delivery));
  private pools: readonly ExportPool[] = [];
  private services: readonly Cidr[] = [];

  constructor(outputs: TableOutputs, identity: OwnIdentity = NOBODY) {
    this.outputs = outputs;
    const peerAt = (index: number) => this.neighbours.at(index);
    this.reach = new Reach((nextHop) => outputs.hasWay?.(nextHop) ?? true);
    const around = { peerAt, hasWay: this.reach.hasWay };
    this.ribs = { 4: new Rib(4, this.sets, around), 6: new Rib(6, this.sets, around) };
    this.own = new OwnRoutes(this.sets, this.ribs);
    this.conditions = {
      interfaceTo: (nextHop) => outputs.interfaceTo?.(nextHop),
      normalPriorities: DEFAULT_PRIORITIES,
    };
    const { conditions } = this;
    const more = {
      peerAt,
      conditions,
      hasRoom: (peer: number) => outputs.hasRoom(this.neighbours.keyAt(peer)),
      deliver: this.outbox.put.bind(this.outbox),
    };
    this.exports = { 4: new Exports(this.ribs[4], more), 6: new Exports(this.ribs[6], more) };
    const { sets, ribs, exports, walks } = this;
    this.neighbours = new Neighbours({ sets, ribs, exports, walks, conditions }, identity);
  }

  /** The columns' room at once, while there is nothing to copy: some thousand routes take it anyway. */
  makeRoom(length = ROOM): void {
    for (const family of FAMILIES) this.ribs[family].widen(length);
  }

  /** Who we are: paths that come back to us are of no use. */
  setIdentity(identity: OwnIdentity): void {
    this.neighbours.setIdentity(identity);
  }

  /** Next hops are reached over other interfaces, which filters may ask for, or no longer at all. */
  waysChanged(): void {
    if (this.reach.lookAgain()) for (const family of FAMILIES) this.ribs[family].revision.begin();
    this.reconsider(({ policy }) => asksForInterfaces(policy.filters));
  }

  /** The priorities that routes have which say nothing of it. */
  setNormalPriorities(given: Partial<NormalPriorities>): void {
    const { conditions } = this;
    const priorities = { ...DEFAULT_PRIORITIES, ...given };
    const changed = FAMILIES.filter((f) => conditions.normalPriorities[f] !== priorities[f]);
    conditions.normalPriorities = priorities;
    for (const family of changed) this.ribs[family].setNormalPriority(priorities[family]);
    if (changed.length > 0) this.reconsider(({ policy }) => policy.filters.length > 0);
  }

  private reconsider(concerned: (peer: Peer) => boolean): void {
    if (!this.neighbours.some(concerned)) return;
    this.neighbours.reconsider(concerned);
    for (const family of FAMILIES) this.exports[family].rewordAll();
  }

  /** After a restart nothing is decided or told before these peers have told all (RFC 4724). */
  defer(
    peers: readonly { readonly key: string; readonly families: readonly Family[] }[],
    now: Milliseconds,
  ): void {
    this.deferral.begin(peers, now);
  }

  /** Families that are not decided yet after a restart. */
  get deferred(): readonly Family[] {
    return FAMILIES.filter((family) => this.deferral.holds(family));
  }

  /** A session came up. */
  peerUp(key: string, policy: PeerPolicy, localAddress: Ip, agreed: Agreed): void {
    this.outbox.empty();
    this.deferral.up(key, agreed);
    this.neighbours.up(key, policy, localAddress, agreed);
  }

  /** A session ended; what is kept of its paths stays until the peer is back (RFC 4724). */
  peerDown(key: string, keeps: Kept, now: Milliseconds): void {
    this.outbox.empty();
    this.deferral.down(key);
    this.neighbours.down(key, keeps, now);
  }

  /** A peer is no longer wanted. */
  removePeer(key: string): void {
    this.outbox.empty();
    this.deferral.remove(key);
    this.neighbours.remove(key);
  }

  /** Another policy for a peer whose session stays. */
  setPeer(key: string, policy: PeerPolicy): void {
    this.neighbours.setPolicy(key, policy);
  }

  /** The body of an UPDATE. */
  receive(key: string, body: Uint8Array): Received {
    const receiver = this.neighbours.receiver(key);
    if (!receiver) return {};
    const received = receiveUpdate(receiver, body);
    if (received.endOfRib) {
      this.deferral.told(key, received.endOfRib);
      this.neighbours.toldAll(key, received.endOfRib);
    }
    return this.countOf(key) > pathsMaxOf(receiver.peer)
      ? { ...received, reset: notification(ERROR.cease, CEASE.maximumPrefixes) }
      : received;
  }

  /** The peer wants everything again (RFC 2918), or begins or ends to tell it (RFC 7313). */
  refresh(key: string, family: Family, kind: 'request' | 'begin' | 'end', now: Milliseconds): void {
    this.neighbours.refresh(key, family, kind, now);
  }

  /** What this node answers for. */
  setOwn(routes: readonly OwnRoute[]): void {
    this.own.set(routes);
  }

  /** What may leave this node beside its own prefixes. */
  setPools(pools: readonly ExportPool[], services: readonly Cidr[] = []): void {
    if (JSON.stringify([pools, services]) === JSON.stringify([this.pools, this.services])) return;
    this.pools = pools;
    this.services = services;
    for (const family of FAMILIES)
      this.exports[family].setRanges(new ExportRanges(family, pools, services));
  }

  /** Tells all peers to look for other ways, because this node is about to go (RFC 8326). */
  setShutdown(shutdown: boolean): void {
    for (const family of FAMILIES) this.exports[family].setSettings({ shutdown });
  }

  /** Decides and tells for about so many milliseconds; `now` reads the clock. */
  work(budgetMs: Milliseconds, now: () => Milliseconds): Progress {
    const end = now() + budgetMs;
    this.neighbours.expire(now());
    this.deferral.expire(now());
    while (this.step()) {
      if (now() < end) continue;
      for (const family of FAMILIES) this.exports[family].flush();
      return 'busy';
    }
    return FAMILIES.some((family) => this.exports[family].isHeldUp) ? 'heldUp' : 'idle';
  }

  /** When `work` has to be called though nothing happens. */
  get nextDeadline(): Milliseconds | undefined {
    const deadlines = [this.neighbours.nextDeadline, this.deferral.nextDeadline];
    const set = deadlines.filter((deadline) => deadline !== undefined);
    return set.length > 0 ? Math.min(...set) : undefined;
  }

  /** What peers told and this node does not answer for itself. */
  *learned(): Generator<LearnedPrefix> {
    for (const family of FAMILIES) {
      const rib = this.ribs[family];
      for (let prefix = 0; prefix < rib.prefixes.end; prefix++) {
        const nextHops = this.own.has(family, prefix) ? [] : rib.nextHops(prefix);
        if (nextHops.length > 0) yield { prefix: rib.prefixes.cidr(prefix), nextHops };
      }
    }
  }

  /** Every prefix that somebody tells of, this node included, in no order. */
  *prefixes(): Generator<Cidr> {
    for (const family of FAMILIES) {
      const { prefixes, paths } = this.ribs[family];
      for (let prefix = 0; prefix < prefixes.end; prefix++)
        if (paths.headOf(prefix) >= 0) yield prefixes.cidr(prefix);
    }
  }

  /** Whether a peer tells of exactly this prefix. */
  isLearned(prefix: Cidr): boolean {
    return this.why(prefix).some(({ peer, lost }) => peer !== undefined && lost !== 'not accepted');
  }

  /** All paths to a prefix, the best one first, and why the others are not. */
  why(prefix: Cidr): readonly PathReport[] {
    return explain(this.ribs, prefix, this.neighbours);
  }

  /** Paths held from a peer. */
  countOf(key: string): number {
    return this.neighbours.count(key);
  }

  /** What a peer's OPEN named it; undefined: its session is not up. */
  routerIdOf(key: string): Ip | undefined {
    return this.neighbours.routerIdOf(key);
  }

  /** Prefixes told to a peer. */
  toldTo(key: string): number {
    return this.neighbours.toldTo(key);
  }

  private step(): boolean {
    // Before more is said, so that what waits to be sent does not grow.
    if (this.outbox.sendOne()) return true;
    if (this.ribs[4].prefixes.prepareSome() || this.ribs[6].prefixes.prepareSome()) return true;
    if (this.ribs[4].revision.some() || this.ribs[6].revision.some()) return true;
    if (!this.walks.isIdle) {
      this.walks.walkSome();
      return true;
    }
    const families = FAMILIES.filter((family) => !this.deferral.holds(family));
    for (const family of families) {
      const rib = this.ribs[family];
      if (rib.undecided > 0 && rib.changed.length < CHANGES_MAX) {
        rib.decideSome(DECIDED_AT_ONCE);
        return true;
      }
      if (rib.changed.length > 0) {
        this.tellSome(family);
        return true;
      }
    }
    for (const family of families) if (this.exports[family].workSome()) return true;
    for (const family of families) {
      this.exports[family].flush();
      this.exports[family].finish();
    }
    return !this.outbox.isEmpty;
  }

  private tellSome(family: Family): void {
    const rib = this.ribs[family];
    const told = this.exports[family].tellSome();
    if (this.outputs.best) {
      const hops = (prefix: number) => (this.own.has(family, prefix) ? [] : rib.nextHops(prefix));
      this.outputs.best(
        Array.from(told, (id) => ({ prefix: rib.prefixes.cidr(id), nextHops: hops(id) })),
      );
    }
    this.exports[family].forget(told);
  }

  private deliver({ peers, messages }: Delivery): void {
    this.outputs.send(
      peers.map((peer) => this.neighbours.keyAt(peer)),
      messages,
    );
  }
}

const NOBODY: OwnIdentity = { asn: 0 as Asn, routerId: '0.0.0.0' as Ip, addresses: [] };
