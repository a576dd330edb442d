// Totals of counters that begin at zero whenever their chain is written anew: each reading adds what
// was counted since the one before. What a rule counted between the last reading and the rewriting of
// its chain is lost.
import type { Family } from '../../net/ip.ts';
import type { CountedRule } from './owners.ts';

/** A rule in the kernel and what it stands for. */
export interface Reading {
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  readonly hash: string;
  readonly packets: number;
  readonly bytes: number;
  readonly counts: CountedRule;
}

export interface Counted extends CountedRule {
  readonly packets: number;
  readonly bytes: number;
}

type Figures = Pick<Reading, 'packets' | 'bytes'>;

const NOTHING: Figures = { packets: 0, bytes: 0 };

type Chain = ReadonlyMap<string, Figures>;

export class RuleTotals {
  /** The rules' figures by hash, by place of the chain. */
  private last = new Map<string, Chain>();
  private rules = new Map<string, Counted>();
  private sums = new Map<string, Counted>();

  /** Takes in a whole reading: rules that it does not have are forgotten. */
  take(readings: readonly Reading[]): void {
    const last = new Map<string, Chain>();
    const rules = new Map<string, Counted>();
    const sums = new Map<string, Counted>();
    for (const [place, members] of Map.groupBy(readings, placeOf)) {
      const now = new Map(members.map(({ hash, packets, bytes }) => [hash, { packets, bytes }]));
      const before = this.last.get(place);
      const base = before && isSame(before, now) ? before : undefined;
      last.set(place, now);
      for (const { hash, counts } of members) {
        const more = since(base?.get(hash), now.get(hash)!);
        add(rules, this.rules, ruleKey(counts), counts, more);
        add(sums, this.sums, sumKey(counts), summed(counts), more);
      }
    }
    this.last = last;
    this.rules = rules;
    this.sums = sums;
  }

  /** By tier, owner, direction and place, as the readings had them. */
  get perRule(): readonly Counted[] {
    return [...this.rules.values()];
  }

  /** Sums by tier, owner, direction and action; they never fall as long as the owner is there. */
  get perOwner(): readonly Counted[] {
    return [...this.sums.values()];
  }
}

const placeOf = ({ family, table, chain }: Reading): string => `${family} ${table} ${chain}`;

// A chain is written whole: when another rule stands in it, or one has counted backwards, all of its
// counters began anew.
const isSame = (before: Chain, now: Chain): boolean =>
  before.size === now.size &&
  [...now].every(([hash, { packets }]) => (before.get(hash)?.packets ?? Infinity) <= packets);

const since = (before: Figures = NOTHING, now: Figures): Figures => ({
  packets: now.packets - before.packets,
  bytes: now.bytes - before.bytes,
});

function add(
  into: Map<string, Counted>,
  former: ReadonlyMap<string, Counted>,
  key: string,
  rule: CountedRule,
  more: Figures,
): void {
  const { packets, bytes } = into.get(key) ?? former.get(key) ?? NOTHING;
  into.set(key, { ...rule, packets: packets + more.packets, bytes: bytes + more.bytes });
}

// A rule that says something else now is another rule.
const ruleKey = ({ tier, owner, endpoint, direction, rule, words }: CountedRule): string =>
  JSON.stringify([tier, owner, endpoint, direction, rule, words]);
const sumKey = ({ tier, owner, direction, action }: CountedRule): string =>
  JSON.stringify([tier, owner, direction, action]);
const summed = (rule: CountedRule): CountedRule => ({ ...rule, endpoint: '', rule: 0, words: '' });

/** So many owners have figures of their own; the rest is summed up under `other`. */
export function bounded(counted: readonly Counted[], most: number): readonly Counted[] {
  const rest = new Map<string, Counted>();
  for (const one of counted.slice(most)) {
    const other = { ...one, tier: '', owner: 'other' };
    add(rest, new Map(), sumKey(other), other, one);
  }
  return [...counted.slice(0, most), ...rest.values()];
}
