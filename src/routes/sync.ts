// Keeps the kernel's routes as own blocks and learned prefixes demand, one prefix at a time: what is
// dirty is planned, and everything that can change a prefix's route makes it dirty. No IO: `take`
// answers the next changes, `done` hears how they went.
//
// What an earlier run left and nobody has claimed yet is kept until the caller says that everybody
// had time to speak, so that a restart of the speaker loses no packet.
import type { KernelEvent, LinkChange, Refusal, Route, RouteHop } from '../kernel/kernel.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import {
  desiredRoute,
  gatewaysOf,
  type LearnedPrefix,
  poolOf,
  type RouteFacts,
} from './desired.ts';
import { type Heard, Mirror } from './mirror.ts';
import { planPrefix } from './plan.ts';
import { Resolver } from './resolver.ts';
import { isMarked, ownerOf, SPEAKER, type Writer } from './writer.ts';

const EEXIST = 17;
const NO_HOPS: readonly Ip[] = [];

export class RouteSync {
  /** Only the kernel's whole table says what is there. */
  needsAudit = false;
  private readonly mirror = new Mirror();
  private readonly resolver = new Resolver();
  private otherWays = false;
  private readonly learnedHops = new Map<Cidr, readonly Ip[]>();
  private readonly dirty = new Set<Cidr>();
  /** Routes of an earlier run that nobody has claimed yet. */
  private readonly adopted = new Set<Cidr>();
  private readonly troubles = new Map<Cidr, string>();
  private readonly refused = new Set<Cidr>();
  private facts: RouteFacts = NO_FACTS;
  private readonly writer: Writer;

  constructor(writer: Writer = SPEAKER) {
    this.writer = writer;
  }

  /** The kernel's routes at the start; what of them is ours is adopted. */
  begin(actual: readonly Route[]): void {
    for (const route of actual) {
      if (isMarked(route) && route.kind === 'unicast') this.adopted.add(route.destination);
      this.takeIn(this.mirror.put(route));
    }
    this.needsAudit = false;
  }

  /** Own blocks, held addresses, pools and so on. */
  setFacts(facts: RouteFacts): void {
    const before = this.facts;
    this.facts = facts;
    for (const [now, then] of [
      [facts.blackholes, before.blackholes],
      [facts.held, before.held],
      [new Set(facts.statics.keys()), new Set(before.statics.keys())],
    ] as const)
      for (const prefix of now.symmetricDifference(then)) this.dirty.add(prefix);
    this.resolver.ignore(facts.ignoredLinks);
    if (textOf(facts) !== textOf(before)) this.all();
    else if (facts.overlay?.vteps !== before.overlay?.vteps) this.markMoved(before);
  }

  /** Prefixes behind nodes whose VXLAN device has another address now. */
  private markMoved({ overlay: before }: RouteFacts): void {
    const vteps = this.facts.overlay?.vteps;
    const hasMoved = (node: Ip): boolean => vteps?.get(node) !== before?.vteps.get(node);
    for (const [prefix, nextHops] of this.learnedHops)
      if (nextHops.some(hasMoved)) this.dirty.add(prefix);
  }

  /** Prefixes whose next hops are others now. */
  learned(changes: readonly LearnedPrefix[]): void {
    for (const { prefix, nextHops } of changes) {
      if (nextHops.length > 0) this.learnedHops.set(prefix, nextHops);
      else this.learnedHops.delete(prefix);
      this.dirty.add(prefix);
    }
  }

  /** What the kernel tells by itself. */
  heard(event: KernelEvent): void {
    if (event.kind === 'lost') this.needsAudit = true;
    if (event.kind === 'route')
      this.takeIn(event.gone ? this.mirror.remove(event.route) : this.mirror.put(event.route));
    // A last address takes the routes over its link along, without a word.
    if (event.kind === 'address' && event.gone && this.leadsOver(event.address.linkIndex))
      this.needsAudit = true;
    if (event.kind === 'link' && (event.gone || !event.link.up))
      this.takeIn(this.mirror.dropLink(event.link.index));
  }

  /** Everybody had time to speak: what an earlier run left and nobody claims may go. */
  sweep(): void {
    for (const prefix of this.adopted) this.dirty.add(prefix);
    this.adopted.clear();
  }

  /** What was refused is tried again. */
  retry(): void {
    for (const prefix of this.refused) this.dirty.add(prefix);
  }

  get hasRefusals(): boolean {
    return this.refused.size > 0;
  }

  /** What keeps wanted routes out of the kernel, in words. */
  get problems(): readonly string[] {
    return [...this.troubles.values()];
  }

  /** Changes of about so many prefixes; none: all is as it should be. */
  take(prefixes: number): readonly LinkChange[] {
    this.markUnreached();
    const changes: LinkChange[] = [];
    let left = prefixes;
    for (const prefix of this.dirty) {
      if (left-- === 0) break;
      this.dirty.delete(prefix);
      for (const change of this.plan(prefix)) changes.push(change);
    }
    return changes;
  }

  /** Whether there is nothing to look at. */
  get isSettled(): boolean {
    return this.dirty.size === 0;
  }

  /** How the changes went. */
  done(changes: readonly LinkChange[], refusals: readonly Refusal[]): void {
    const errors = new Map(refusals.map(({ index, error }) => [index, error]));
    for (const [index, change] of changes.entries()) {
      if (!('route' in change)) continue;
      const { route } = change;
      const error = errors.get(index);
      if (!error) {
        if (change.kind === 'deleteRoute') this.mirror.remove(route);
        else this.mirror.put(route);
        continue;
      }
      this.refused.add(route.destination);
      this.troubles.set(route.destination, `${route.destination}: ${error.message}`);
      if (error.errno === EEXIST) this.needsAudit = true;
    }
  }

  /** The way to a next hop; the first where there are several. */
  wayTo(nextHop: Ip): RouteHop | undefined {
    return this.resolver.waysTo(nextHop)[0];
  }

  /** Whether a route by the next hop could be made. */
  hasWay(nextHop: Ip): boolean {
    const [gateway = nextHop] = gatewaysOf([nextHop], this.facts.statics);
    return this.resolver.waysTo(gateway).length > 0;
  }

  /** Whether next hops are reached in other ways since the last call. */
  takeOtherWays(): boolean {
    const { otherWays } = this;
    this.otherWays = false;
    return otherWays;
  }

  beginAudit(): void {
    this.needsAudit = false;
    this.mirror.beginAudit();
  }

  auditPart(found: readonly Route[]): void {
    this.takeIn(this.mirror.auditPart(found));
  }

  endAudit(): void {
    this.takeIn(this.mirror.endAudit());
  }

  private leadsOver(link: number): boolean {
    const { tunnelLink, overlay } = this.facts;
    const isOverlay = [...(overlay?.links.values() ?? [])].includes(link);
    return link === tunnelLink || isOverlay || this.resolver.uses(link);
  }

  private plan(prefix: Cidr): readonly LinkChange[] {
    const nextHops = this.learnedHops.get(prefix) ?? NO_HOPS;
    const { writer, facts } = this;
    const waysTo = (hop: Ip) => this.resolver.waysTo(hop);
    const made = desiredRoute({ prefix, nextHops }, facts, waysTo, writer);
    const want = typeof made === 'string' ? undefined : made;
    const owned = writer.owns(poolOf(prefix, facts.pools));
    this.refused.delete(prefix);
    this.troubles.delete(prefix);
    if (typeof made === 'string') this.troubles.set(prefix, made);
    if (want) this.adopted.delete(prefix);
    const present = this.mirror.at(prefix);
    const { changes, conflict } = planPrefix({
      want,
      ours: owned ? present.filter(isMarked) : [],
      foreign: present.filter((route) => !isMarked(route)),
      mayRemove: (route) => {
        // What the other writer left carries packets until ours can take its place.
        const waits = typeof made === 'string' && route.protocol !== writer.protocol;
        return route.kind === 'blackhole' || !(waits || this.adopted.has(prefix));
      },
    });
    if (conflict)
      this.troubles.set(prefix, `${prefix}: a route of protocol ${conflict.protocol} is there`);
    return changes;
  }

  private takeIn({ changed, unsure }: Heard): void {
    if (unsure) this.needsAudit = true;
    for (const prefix of changed) {
      this.dirty.add(prefix);
      const foreign = this.mirror.at(prefix).filter((route) => !isMarked(route));
      this.resolver.set(prefix, foreign);
    }
  }

  /** Prefixes whose next hops are reached in another way. */
  private markUnreached(): void {
    const changed = this.resolver.changed();
    if (changed.size === 0) return;
    this.otherWays = true;
    const { statics } = this.facts;
    for (const [prefix, nextHops] of this.learnedHops)
      if (gatewaysOf(nextHops, statics).some((hop) => changed.has(hop))) this.dirty.add(prefix);
    for (const [prefix, gateway] of statics) if (changed.has(gateway)) this.dirty.add(prefix);
  }

  private all(): void {
    this.resolver.forgetAll();
    this.otherWays = true;
    for (const prefix of this.learnedHops.keys()) this.dirty.add(prefix);
    for (const prefix of this.facts.statics.keys()) this.dirty.add(prefix);
    for (const prefix of this.facts.blackholes) this.dirty.add(prefix);
    for (const prefix of this.mirror.marked()) this.dirty.add(prefix);
  }
}

/** What every route hangs on. */
function textOf({
  pools,
  subnets,
  tunnelLink,
  overlay,
  statics,
  ignoredLinks,
}: RouteFacts): string {
  const links = [...(overlay?.links ?? [])];
  const modes = pools.map((pool) => [pool.cidr, pool.ipip, pool.vxlan, ownerOf(pool)]);
  return JSON.stringify([modes, subnets, tunnelLink, links, [...statics], [...ignoredLinks]]);
}

const NO_FACTS: RouteFacts = {
  blackholes: new Set(),
  held: new Set(),
  statics: new Map(),
  pools: [],
  subnets: [],
  tunnelLink: undefined,
  ignoredLinks: new Set(),
};
