// Selector index: which addresses belong to which active ip set. Kept up to date change by change: only
// sets that may hold an item by its labels are asked about it, and each item knows the sets that hold
// it. Members of both address families are kept together; the kernel has a set for each.
import { matches } from '../model/selector/match.ts';
import type { Family } from '../net/ip.ts';
import { CountedMembers } from './counted-members.ts';
import { type LabelMap, labelsOf } from './read/labels.ts';
import type { SetDefinition } from './read/parsed-rule.ts';
import { SetCandidates } from './set-candidates.ts';
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
  readonly members: Record<Family, CountedMembers>;
}

/** An item and the sets that it is in. */
interface Entry {
  readonly item: Item;
  readonly sets: readonly ActiveSet[];
}

/** Sets, filed by what they may hold. */
interface Filed {
  readonly bySelector: SetCandidates<ActiveSet>;
  readonly byService: Map<string, readonly ActiveSet[]>;
}

const NONE: ReadonlySet<string> = new Set();
const NOWHERE: readonly ActiveSet[] = [];

export class SetIndex {
  private readonly entries = new Map<string, Entry>();
  private readonly sets = new Map<string, ActiveSet>();
  private filed = fileSets([]);
  private readonly profileLabels: (name: string) => LabelMap | undefined;

  /** `profileLabels` answers what a profile hands down now. */
  constructor(profileLabels: (name: string) => LabelMap | undefined) {
    this.profileLabels = profileLabels;
  }

  putItem(key: string, item: Item): void {
    const before = this.entries.get(key);
    const sets = this.holding(item, this.filed);
    this.entries.set(key, { item, sets });
    // Before the old ones go: a member that stays is never absent.
    for (const set of sets) addTo(set, item);
    if (before) for (const set of before.sets) removeFrom(set, before.item);
  }

  removeItem(key: string): void {
    const before = this.entries.get(key);
    this.entries.delete(key);
    if (before) for (const set of before.sets) removeFrom(set, before.item);
  }

  /** Evaluates anew whatever inherits from the profile. */
  profileChanged(name: string): void {
    for (const [key, { item }] of this.entries)
      if (item.profiles.includes(name)) this.putItem(key, item);
  }

  /** From now on exactly these sets are kept. */
  activate(definitions: ReadonlyMap<string, SetDefinition>): void {
    const gone = new Set([...this.sets].flatMap(([id, set]) => (definitions.has(id) ? [] : [set])));
    for (const { definition } of gone) this.sets.delete(definition.id);
    const fresh = [...definitions].flatMap(([id, definition]) => {
      if (this.sets.has(id)) return [];
      const set = { definition, members: { 4: new CountedMembers(), 6: new CountedMembers() } };
      this.sets.set(id, set);
      return [set];
    });
    if (gone.size === 0 && fresh.length === 0) return;
    const added = fileSets(fresh);
    for (const [key, { item, sets }] of this.entries) {
      const kept = sets.some((set) => gone.has(set)) ? sets.filter((set) => !gone.has(set)) : sets;
      const come = this.holding(item, added);
      for (const set of come) addTo(set, item);
      if (kept !== sets || come.length > 0)
        this.entries.set(key, { item, sets: come.length > 0 ? [...kept, ...come] : kept });
    }
    this.filed = fileSets(this.sets.values());
  }

  /** The members now; the same object as before when nothing has changed. */
  members(id: string, family: Family): ReadonlySet<string> {
    return this.sets.get(id)?.members[family].snapshot() ?? NONE;
  }

  /** Those of the sets to which the item contributes. */
  private holding({ labels, profiles, service }: Item, filed: Filed): readonly ActiveSet[] {
    if (service !== undefined) return filed.byService.get(service) ?? NOWHERE;
    const inherited = profiles.map(this.profileLabels);
    const seen = labelsOf(labels, inherited);
    const found = new Set<ActiveSet>();
    for (const set of filed.bySelector.of([labels, ...inherited]))
      if (!found.has(set) && matches(set.definition.selector, seen)) found.add(set);
    return found.size > 0 ? [...found] : NOWHERE;
  }
}

function fileSets(sets: Iterable<ActiveSet>): Filed {
  const filed: Filed = { bySelector: new SetCandidates(), byService: new Map() };
  for (const set of sets) {
    const { selector, service } = set.definition;
    if (!service) filed.bySelector.add(selector, set);
    else filed.byService.set(service.key, [...(filed.byService.get(service.key) ?? []), set]);
  }
  return filed;
}

function contribution({ port, service }: SetDefinition, item: Item): readonly string[] {
  if (service?.ports) return item.ports.flatMap(({ members }) => members);
  if (!port) return item.members;
  return item.ports
    .filter(({ protocol, name }) => protocol === port.protocol && name === port.name)
    .flatMap(({ members }) => members);
}

function addTo({ definition, members }: ActiveSet, item: Item): void {
  for (const member of contribution(definition, item)) members[memberFamily(member)].add(member);
}

function removeFrom({ definition, members }: ActiveSet, item: Item): void {
  for (const member of contribution(definition, item)) members[memberFamily(member)].remove(member);
}
