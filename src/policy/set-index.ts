// Selector index: which addresses belong to which active ip set. Kept up to date change by change:
// a label change touches only the sets whose selector's answer changes, and members are counted,
// because two endpoints may share an address while one replaces the other. Members of both address
// families are kept together; the kernel has a set for each.
import { matches } from '../model/selector/match.ts';
import type { Family } from '../net/ip.ts';
import { type LabelMap, labelsOf } from './read/labels.ts';
import type { SetDefinition } from './read/parsed-rule.ts';
import { memberFamily } from './set-members.ts';

/** A named port of an endpoint. */
export interface ItemPort {
  readonly protocol: string;
  readonly name: string;
  /** Members of a hash:ip,port set. */
  readonly members: readonly string[];
}

/** What sets are made of: endpoints and network sets by selector, endpoints of services by name. */
export interface Item {
  readonly labels: LabelMap;
  readonly profiles: readonly string[];
  /** Members of a hash:net set. */
  readonly members: readonly string[];
  readonly ports: readonly ItemPort[];
  /** `namespace/name` of the service whose endpoints these are; selectors do not find them. */
  readonly service?: string;
}

interface ActiveSet {
  readonly definition: SetDefinition;
  readonly byItem: Map<string, readonly string[]>;
  /** How many items contribute each member. */
  readonly counts: Record<Family, Map<string, number>>;
  /** The same objects until a member of the family changes. */
  readonly snapshots: Partial<Record<Family, ReadonlySet<string>>>;
}

const NONE: ReadonlySet<string> = new Set();

export class SetIndex {
  private readonly items = new Map<string, Item>();
  private readonly sets = new Map<string, ActiveSet>();
  private readonly profileLabels: (name: string) => LabelMap | undefined;

  /** `profileLabels` answers what a profile hands down now. */
  constructor(profileLabels: (name: string) => LabelMap | undefined) {
    this.profileLabels = profileLabels;
  }

  putItem(key: string, item: Item): void {
    this.items.set(key, item);
    for (const set of this.sets.values()) this.evaluate(set, key, item);
  }

  removeItem(key: string): void {
    this.items.delete(key);
    for (const set of this.sets.values()) replace(set, key, []);
  }

  /** Evaluates anew whatever inherits from the profile. */
  profileChanged(name: string): void {
    for (const [key, item] of this.items)
      if (item.profiles.includes(name))
        for (const set of this.sets.values()) this.evaluate(set, key, item);
  }

  /** From now on exactly these sets are kept. */
  activate(definitions: ReadonlyMap<string, SetDefinition>): void {
    for (const id of this.sets.keys()) if (!definitions.has(id)) this.sets.delete(id);
    for (const [id, definition] of definitions) {
      if (this.sets.has(id)) continue;
      const counts = { 4: new Map(), 6: new Map() };
      const set: ActiveSet = { definition, byItem: new Map(), counts, snapshots: {} };
      this.sets.set(id, set);
      for (const [key, item] of this.items) this.evaluate(set, key, item);
    }
  }

  /** The members now; the same object as before when nothing has changed. */
  members(id: string, family: Family): ReadonlySet<string> {
    const set = this.sets.get(id);
    if (!set) return NONE;
    set.snapshots[family] ??= new Set(set.counts[family].keys());
    return set.snapshots[family];
  }

  private evaluate(set: ActiveSet, key: string, item: Item): void {
    const { selector, service } = set.definition;
    const found =
      service || item.service !== undefined
        ? service?.key === item.service
        : matches(selector, labelsOf(item.labels, item.profiles.map(this.profileLabels)));
    replace(set, key, found ? contribution(set.definition, item) : []);
  }
}

function contribution({ port, service }: SetDefinition, item: Item): readonly string[] {
  if (service?.ports) return item.ports.flatMap(({ members }) => members);
  if (!port) return item.members;
  return item.ports
    .filter(({ protocol, name }) => protocol === port.protocol && name === port.name)
    .flatMap(({ members }) => members);
}

function replace(set: ActiveSet, key: string, members: readonly string[]): void {
  const before = set.byItem.get(key) ?? [];
  if (members.length > 0) set.byItem.set(key, members);
  else set.byItem.delete(key);
  for (const member of members) count(set, member, 1);
  for (const member of before) count(set, member, -1);
}

function count(set: ActiveSet, member: string, by: 1 | -1): void {
  const family = memberFamily(member);
  const counts = set.counts[family];
  const before = counts.get(member) ?? 0;
  if (before + by > 0) counts.set(member, before + by);
  else counts.delete(member);
  if (before === 0 || before + by === 0) delete set.snapshots[family];
}
