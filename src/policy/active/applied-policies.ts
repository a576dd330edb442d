// Which policies select each of some endpoints. Kept change by change, in order: a policy is asked about
// every endpoint once when it comes, an endpoint about the policies that its labels point to; what did
// not change is answered with the same object as before.

import { type LabelMap, labelsOf } from '../../model/selector/labels.ts';
import { matches } from '../../model/selector/match.ts';
import type { Policy, Profile } from '../read/resources.ts';
import type { World } from '../world.ts';

/** What a selector looks at. */
export interface Selectable {
  readonly labels: LabelMap;
  readonly profiles: readonly string[];
}

/** What an endpoint's chains are made of, in order. */
export interface Applied {
  readonly policies: readonly Policy[];
  readonly profiles: readonly Profile[];
}

interface Entry<E, A> {
  readonly endpoint: E;
  /** In order. */
  policies: readonly Policy[];
  /** Undefined: something it is made of has changed. */
  active: A | undefined;
}

interface Ways<E, A> {
  /** Which policies matter to these endpoints at all. */
  readonly takes: (policy: Policy) => boolean;
  readonly make: (endpoint: E, applied: Applied) => A;
  /** Whether an endpoint's chains stay what they are, its policies aside. */
  readonly alike: (before: E, now: E) => boolean;
}

export class AppliedPolicies<E extends Selectable, A extends object> {
  private readonly world: World;
  private readonly ways: Ways<E, A>;
  private readonly entries = new Map<string, Entry<E, A>>();
  /** Undefined: some endpoint came, went or is made of something else. */
  private all: readonly A[] | undefined;

  constructor(world: World, ways: Ways<E, A>) {
    this.world = world;
    this.ways = ways;
  }

  get(key: string): E | undefined {
    return this.entries.get(key)?.endpoint;
  }

  get size(): number {
    return this.entries.size;
  }

  /** By key. */
  *endpoints(): Generator<readonly [key: string, endpoint: E]> {
    for (const [key, { endpoint }] of this.entries) yield [key, endpoint];
  }

  /** False: it is made of the same as before. */
  put(key: string, endpoint: E): boolean {
    const policies = this.policiesOf(endpoint);
    const before = this.entries.get(key);
    const alike = before && this.ways.alike(before.endpoint, endpoint);
    const same = alike && equal(before.policies, policies);
    const active = same ? before.active : undefined;
    this.entries.set(key, { endpoint, policies, active });
    if (!active) this.all = undefined;
    return active === undefined;
  }

  /** The endpoint that was there. */
  remove(key: string): E | undefined {
    const before = this.entries.get(key);
    if (this.entries.delete(key)) this.all = undefined;
    return before?.endpoint;
  }

  /** Whether that matters to any endpoint. */
  policyChanged(before: Policy | undefined, now: Policy | undefined): boolean {
    let changed = false;
    const taken = now && this.ways.takes(now) ? now : undefined;
    for (const entry of this.entries.values()) {
      const gone = before !== undefined && entry.policies.includes(before);
      const come = taken && matches(taken.selector, this.labelsOf(entry.endpoint));
      if (!gone && !come) continue;
      const rest = gone ? entry.policies.filter((policy) => policy !== before) : entry.policies;
      entry.policies = come ? this.inserted(rest, taken) : rest;
      changed = this.stale(entry);
    }
    return changed;
  }

  private inserted(policies: readonly Policy[], policy: Policy): readonly Policy[] {
    let [low, high] = [0, policies.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.world.compare(policies[middle]!, policy) < 0) low = middle + 1;
      else high = middle;
    }
    return policies.toSpliced(low, 0, policy);
  }

  /** Whether any endpoint has that profile. */
  profileChanged(name: string): boolean {
    let changed = false;
    for (const [key, entry] of this.entries) {
      if (!entry.endpoint.profiles.includes(name)) continue;
      changed = this.stale(entry);
      this.put(key, entry.endpoint);
    }
    return changed;
  }

  /** The order of policies may have changed. */
  tiersChanged(): void {
    for (const entry of this.entries.values()) {
      entry.policies = this.world.inOrder(entry.policies);
      this.stale(entry);
    }
  }

  activeOf(key: string): A | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    const { endpoint, policies } = entry;
    entry.active ??= this.ways.make(endpoint, {
      policies,
      profiles: endpoint.profiles.map((name) => this.world.profile(name)),
    });
    return entry.active;
  }

  /** In key order; the same object until something has changed. */
  active(): readonly A[] {
    this.all ??= [...this.entries.keys()].sort().map((key) => this.activeOf(key)!);
    return this.all;
  }

  private policiesOf(endpoint: E): readonly Policy[] {
    const { labels, profiles } = endpoint;
    const seen = this.labelsOf(endpoint);
    const candidates = this.world.candidates([labels, ...profiles.map(this.labelsOfProfile)]);
    const found: Policy[] = [];
    for (const policy of candidates)
      if (this.ways.takes(policy) && matches(policy.selector, seen)) found.push(policy);
    return found.sort(this.world.compare);
  }

  private readonly labelsOfProfile = (name: string) => this.world.profiles.get(name)?.labels;

  private labelsOf({ labels, profiles }: E): ReturnType<typeof labelsOf> {
    return labelsOf(labels, profiles.map(this.labelsOfProfile));
  }

  private stale(entry: Entry<E, A>): true {
    entry.active = undefined;
    this.all = undefined;
    return true;
  }
}

const equal = (a: readonly Policy[], b: readonly Policy[]): boolean =>
  a.length === b.length && a.every((policy, i) => policy === b[i]);
