// A table that services come to and go from one by one. What it tells of each change is as long as the
// change: with ten thousand services, one more costs no look at the others.
import type { ChainRules } from '../../kernel/tables.ts';
import { type Chains, NOTHING, type Packed, pack, rulesIn, unpack } from './packed.ts';
import type { ListEdits, TableSize, WantedTable } from './plan.ts';

interface Edits extends ListEdits {
  readonly removed: string[];
  readonly added: string[];
}

export class GrowingTable {
  private readonly fixed: WantedTable;
  /** What each service adds: chains of its own, and rules in the fixed chains, where they stand first. */
  private readonly parts: Map<string, Packed>;
  private own = { chains: 0, rules: 0 };
  private changedChains = new Map<string, ChainRules | undefined>();
  private edits = new Map<string, Edits>();
  private latest: WantedTable | undefined;

  /** With what services added to a former table, whose fixed chains were others. */
  constructor(fixed: WantedTable, former?: GrowingTable) {
    this.fixed = fixed;
    this.parts = former?.parts ?? new Map();
    if (former) this.own = { ...former.own };
  }

  /** A service adds these chains and rules now, whatever it added before; absent: none. */
  replace(service: string, chains?: Chains): void {
    const before = this.parts.get(service) ?? NOTHING;
    const now = chains ? pack(chains) : NOTHING;
    if (now === before) return;
    if (now === NOTHING) this.parts.delete(service);
    else this.parts.set(service, now);
    const [former, present] = [unpack(before), unpack(now)];
    for (const [name, rules] of former) if (!present.has(name)) this.set(name, rules, []);
    for (const [name, rules] of present) this.set(name, former.get(name) ?? [], rules);
  }

  /** Rules of one of the fixed chains, by the services that add them. */
  *rulesOf(chain: string): Generator<ChainRules> {
    for (const part of this.parts.values()) {
      const rules = rulesIn(part, chain);
      if (rules.length > 0) yield rules;
    }
  }

  /** As of now; the same value as long as nothing has changed. Its `chains` go on to change. */
  wanted(): WantedTable {
    const { latest, changedChains, edits } = this;
    if (latest && changedChains.size + edits.size === 0) return latest;
    const listOf = (name: string): ChainRules => this.wholeList(name);
    const changes = latest && { from: latest.version, chains: changedChains, lists: edits, listOf };
    this.changedChains = new Map();
    this.edits = new Map();
    const [all, size] = [() => this.all(), () => this.size()];
    this.latest = {
      ...this.fixed,
      get chains() {
        return all();
      },
      get size() {
        return size();
      },
      version: {},
      ...(changes ? { changes } : {}),
    };
    return this.latest;
  }

  private set(name: string, former: ChainRules, present: ChainRules): void {
    if (isSame(former, present)) return;
    this.own.rules += present.length - former.length;
    const isList = this.fixed.chains.has(name);
    if (!isList) this.own.chains += Number(present.length > 0) - Number(former.length > 0);
    if (!this.latest) return; // nobody has anything that changes could be told from
    if (!isList) {
      this.changedChains.set(name, present.length > 0 ? present : undefined);
      return;
    }
    const edits = this.edits.get(name) ?? { removed: [], added: [] };
    this.edits.set(name, edits);
    edits.removed.push(...former);
    edits.added.push(...present);
  }

  private wholeList(name: string): ChainRules {
    return [...this.rulesOf(name), this.fixed.chains.get(name)!].flat();
  }

  private all(): Chains {
    const lists = new Map([...this.fixed.chains.keys()].map((name) => [name, [] as string[]]));
    const chains = new Map<string, ChainRules>(lists);
    for (const part of this.parts.values())
      for (const [name, rules] of unpack(part)) {
        const list = lists.get(name);
        if (list) list.push(...rules);
        else chains.set(name, rules);
      }
    for (const [name, rules] of this.fixed.chains) lists.get(name)!.push(...rules);
    return chains;
  }

  private size(): TableSize {
    let rules = this.own.rules;
    for (const fixed of this.fixed.chains.values()) rules += fixed.length;
    return { chains: this.fixed.chains.size + this.own.chains, rules };
  }
}

const isSame = (a: ChainRules, b: ChainRules): boolean =>
  a.length === b.length && a.every((rule, i) => rule === b[i]);
