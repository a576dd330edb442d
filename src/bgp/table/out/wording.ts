// How a group of peers hears a path: its filters, what may leave this node at all, and the attributes
// as they leave, each made once and shared by all prefixes that have them in common.
import type { BgpFilterRule } from '../../../model/bgp-filter.ts';
import { OWN, type Peer } from '../peer.ts';
import type { Conditions } from '../policy/conditions.ts';
import { changed, deciding, exportRules } from '../policy/filter.ts';
import type { AttributeSet } from '../routes/attribute-sets.ts';
import type { Rib } from '../routes/rib.ts';
import type { Entry } from './batch.ts';
import { type ExportRanges, type ExportSettings, sourceOf, tell } from './export.ts';
import { fits } from './packer.ts';
import type { Told } from './told.ts';

export interface ExportFacts {
  readonly peerAt: (index: number) => Peer | undefined;
  readonly ranges: () => ExportRanges;
  readonly settings: () => ExportSettings;
  readonly conditions: Conditions;
}

/** More peers than this have no numbers of their own. */
const PEERS_MAX = 0x100000;

export class Wording {
  /** Any of the members: in all that counts they are the same. */
  like: Peer;
  private readonly id: number;
  private readonly rib: Rib;
  private readonly facts: ExportFacts;
  private readonly rules: readonly BgpFilterRule[];
  private readonly words = new Map<string, Told>();
  /** Neighbouring prefixes mostly ask for the same. */
  private last: { readonly set: AttributeSet; readonly entry: Entry } | undefined;

  constructor(id: number, rib: Rib, like: Peer, facts: ExportFacts) {
    this.id = id;
    this.rib = rib;
    this.like = like;
    this.facts = facts;
    this.rules = exportRules(like.policy.filters, rib.family);
  }

  /** A path of `source` with this set, as the group hears it; undefined: it does not. */
  entryOf(prefix: number, id: number, source: number): Entry | undefined {
    const { sets, prefixes } = this.rib;
    const set = sets.at(id);
    const filtered = this.rules.length > 0 ? this.filter(set, source, prefix) : undefined;
    if (filtered === 'reject') return undefined;
    if (!filtered && !this.facts.ranges().includes(prefixes, prefix, source === OWN))
      return undefined;
    const entry = this.entryFor(filtered ?? set, source);
    if (filtered && filtered !== set) sets.drop(filtered);
    return entry;
  }

  /** Counts who needs the words: equal words are one object while anybody does. */
  use(told: Told, more: number): void {
    const before = told.uses;
    told.uses += more;
    if (before === 0) this.words.set(told.key, told);
    else if (told.uses === 0) this.words.delete(told.key);
  }

  private filter(
    set: AttributeSet,
    source: number,
    prefix: number,
  ): AttributeSet | 'reject' | undefined {
    const external = this.facts.peerAt(source)?.external ?? false;
    const { sets, prefixes } = this.rib;
    const { conditions } = this.facts;
    const route = { set, external, own: source === OWN, prefixes, prefix, conditions };
    const rule = deciding(this.rules, route);
    if (!rule) return undefined;
    return rule.action === 'reject' ? 'reject' : changed(sets, set, rule.operations);
  }

  private entryFor(set: AttributeSet, source: number): Entry | undefined {
    const { last } = this;
    if (last?.set === set && last.entry.source === source && last.entry.told.uses > 0)
      return last.entry;
    const entry = this.findEntry(set, source);
    this.last = entry && { set, entry };
    return entry;
  }

  /** Void after other facts about peers or settings. */
  forget(): void {
    this.last = undefined;
  }

  private findEntry(set: AttributeSet, source: number): Entry | undefined {
    // Sets are shared by both families, the groups' numbers are not.
    const group = this.id * 2 + (this.rib.family === 6 ? 1 : 0);
    const key = group * PEERS_MAX + source;
    const cached = set.exported.get(key);
    if (cached === null) return undefined;
    const told = cached?.told ?? this.make(set, source);
    const shared = told && (this.words.get(told.key) ?? told);
    if (cached && cached.told === shared) return cached;
    const entry = shared && { told: shared, source, pathId: 0 };
    set.exported.set(key, entry ?? null);
    return entry;
  }

  private make(set: AttributeSet, source: number): Told | undefined {
    const from = source === OWN ? undefined : this.facts.peerAt(source);
    if (source !== OWN && !from) return undefined;
    const { like, rib, facts } = this;
    const told = tell(set, sourceOf(from), like, rib.family, facts.settings());
    const { extendedMessage, addPathSend } = like.agreed;
    const options = { extendedMessage, addPath: addPathSend.includes(rib.family) };
    return told && fits(told, options) ? told : undefined;
  }
}
