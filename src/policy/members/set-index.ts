// Selector index: which addresses belong to which active ip set. Kept up to date change by change: only
// sets that may hold an item by its labels are asked about it, and each item knows the sets that hold
// it. Members of both address families are kept together; the kernel has a set for each. When sets
// come, all items are asked about them, in pieces, between which anything may change.

import { type LabelMap, labelsOf } from '../../model/selector/labels.ts';
import { matches } from '../../model/selector/match.ts';
import type { Family } from '../../net/ip.ts';
import type { SetDefinition } from '../read/parsed-rule.ts';
import { Candidates } from './candidates.ts';
import { CountedMembers } from './counted-members.ts';
import { exact } from './exact.ts';
import { familyOfId, type MemberId, MemberIds } from './member-ids.ts';
import type { Members } from './members.ts';

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
  readonly members: Record<Family, CountedMembers>;
  /** No longer kept. */
  isGone: boolean;
}

type Ids = readonly MemberId[];

/** An item, its members as numbers, and the sets that it is in. */
interface Entry {
  readonly item: Item;
  readonly members: Ids;
  /** By port. */
  readonly ports: readonly Ids[];
  sets: readonly ActiveSet[];
}

/** Sets, filed by what they may hold. */
interface Filed {
  readonly bySelector: Candidates<ActiveSet>;
  readonly byService: Map<string, readonly ActiveSet[]>;
}

/** Sets that not all items have been asked about. */
interface Asking {
  readonly sets: Filed;
  readonly left: Iterator<Entry>;
}

export class SetIndex {
  private readonly ids = new MemberIds();
  private readonly entries = new Map<string, Entry>();
  private readonly byProfile = new Map<string, Set<string>>();
  private readonly sets = new Map<string, ActiveSet>();
  private readonly filed: Filed = { bySelector: new Candidates(), byService: new Map() };
  private readonly asking: Asking[] = [];
  private readonly profileLabels: (name: string) => LabelMap | undefined;
  private readonly none = new CountedMembers(this.ids).snapshot();

  /** `profileLabels` answers what a profile hands down now. */
  constructor(profileLabels: (name: string) => LabelMap | undefined) {
    this.profileLabels = profileLabels;
  }

  putItem(key: string, item: Item): void {
    const before = this.entries.get(key);
    const sets = this.holding(item, this.filed);
    const members = item.members.map((member) => this.ids.acquire(member));
    const ports = exact(
      item.ports.map((port) => port.members.map((member) => this.ids.acquire(member))),
    );
    const entry: Entry = { item, members, ports, sets };
    this.entries.set(key, entry);
    for (const profile of item.profiles) this.having(profile).add(key);
    // Before the old ones go: a member that stays is never absent.
    for (const set of sets) addTo(set, entry);
    if (before) this.leave(key, before, item);
  }

  removeItem(key: string): void {
    const before = this.entries.get(key);
    this.entries.delete(key);
    if (before) this.leave(key, before, undefined);
  }

  private leave(key: string, entry: Entry, now: Item | undefined): void {
    for (const set of entry.sets) if (!set.isGone) removeFrom(set, entry);
    for (const id of entry.members) this.ids.release(id);
    for (const ids of entry.ports) for (const id of ids) this.ids.release(id);
    for (const profile of entry.item.profiles)
      if (!now?.profiles.includes(profile)) {
        const keys = this.having(profile);
        keys.delete(key);
        if (keys.size === 0) this.byProfile.delete(profile);
      }
  }

  private having(profile: string): Set<string> {
    const keys = this.byProfile.get(profile) ?? new Set();
    this.byProfile.set(profile, keys);
    return keys;
  }

  /** Evaluates anew whatever inherits from the profile. */
  profileChanged(name: string): void {
    for (const key of [...(this.byProfile.get(name) ?? [])])
      this.putItem(key, this.entries.get(key)!.item);
  }

  /**
   * From now on these sets are kept too, and those no longer. The new ones have all their members
   * once `ask` is through.
   */
  keep(come: Iterable<SetDefinition>, gone: Iterable<string>): void {
    for (const id of gone) this.drop(id);
    const sets: Filed = { bySelector: new Candidates(), byService: new Map() };
    let isNew = false;
    for (const definition of come) {
      if (this.sets.has(definition.id)) continue;
      const members = { 4: new CountedMembers(this.ids), 6: new CountedMembers(this.ids) };
      const set: ActiveSet = { definition, members, isGone: false };
      this.sets.set(definition.id, set);
      for (const filed of [sets, this.filed]) file(filed, set);
      isNew = true;
    }
    if (isNew) this.asking.push({ sets, left: this.entries.values() });
  }

  private drop(id: string): void {
    const set = this.sets.get(id);
    if (!set) return;
    this.sets.delete(id);
    set.isGone = true;
    unfile(this.filed, set);
    for (const { sets } of this.asking) unfile(sets, set);
  }

  /** Asks items about sets that came; a pause after each. */
  *ask(): Generator<void> {
    for (let asked = this.asking[0]; asked; asked = this.asking[0]) {
      for (let next = asked.left.next(); !next.done; next = asked.left.next()) {
        this.join(next.value, asked.sets);
        yield;
      }
      if (this.asking[0] === asked) this.asking.shift();
    }
  }

  // Also the time to forget sets that went.
  private join(entry: Entry, sets: Filed): void {
    const come = this.holding(entry.item, sets).filter((set) => !entry.sets.includes(set));
    for (const set of come) addTo(set, entry);
    const kept = entry.sets.some(({ isGone }) => isGone)
      ? entry.sets.filter(({ isGone }) => !isGone)
      : entry.sets;
    if (come.length > 0 || kept !== entry.sets)
      entry.sets = come.length > 0 ? kept.concat(come) : kept;
  }

  /** The members now; the same object as before when nothing has changed. */
  members(id: string, family: Family): Members {
    return this.sets.get(id)?.members[family].snapshot() ?? this.none;
  }

  /** Those of the sets to which the item contributes. */
  private holding({ labels, profiles, service }: Item, filed: Filed): readonly ActiveSet[] {
    if (service !== undefined) return filed.byService.get(service) ?? [];
    const inherited = profiles.map(this.profileLabels);
    const candidates = filed.bySelector.of([labels, ...inherited]);
    if (candidates.size === 0) return exact([]);
    const seen = labelsOf(labels, inherited);
    const found: ActiveSet[] = [];
    for (const set of candidates) if (matches(set.definition.selector, seen)) found.push(set);
    return exact(found);
  }
}

function file({ bySelector, byService }: Filed, set: ActiveSet): void {
  const { selector, service } = set.definition;
  if (service) byService.set(service.key, [...(byService.get(service.key) ?? []), set]);
  else bySelector.add(selector, set);
}

function unfile({ bySelector, byService }: Filed, set: ActiveSet): void {
  const { selector, service } = set.definition;
  if (!service) {
    bySelector.remove(selector, set);
    return;
  }
  const left = (byService.get(service.key) ?? []).filter((one) => one !== set);
  if (left.length > 0) byService.set(service.key, left);
  else byService.delete(service.key);
}

function contribution({ port, service }: SetDefinition, { item, members, ports }: Entry): Ids {
  if (service?.ports) return ports.flat();
  if (!port) return members;
  return ports
    .filter((_, i) => {
      const { protocol, name } = item.ports[i]!;
      return protocol === port.protocol && name === port.name;
    })
    .flat();
}

function addTo({ definition, members }: ActiveSet, entry: Entry): void {
  for (const id of contribution(definition, entry)) members[familyOfId(id)].add(id);
}

function removeFrom({ definition, members }: ActiveSet, entry: Entry): void {
  for (const id of contribution(definition, entry)) members[familyOfId(id)].remove(id);
}
