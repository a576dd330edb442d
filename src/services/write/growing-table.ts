// A table that services come to and go from one by one. What it tells of each change is as long as the
// change: with ten thousand services, one more costs no look at the others.
import type { ChainRules } from '../../kernel/tables.ts';
import type { WantedTable } from './plan.ts';

export type Chains = ReadonlyMap<string, ChainRules>;

const NONE: Chains = new Map();

export class GrowingTable {
  private readonly fixed: WantedTable;
  private readonly chains: Map<string, ChainRules>;
  /** Of each chain that is there without services: their rules in it, by service. They stand first. */
  private readonly lists: ReadonlyMap<string, Map<string, ChainRules>>;
  private changedChains = new Set<string>();
  private edits = new Map<string, { removed: string[]; added: string[] }>();
  private latest: WantedTable;

  constructor(fixed: WantedTable) {
    this.fixed = fixed;
    this.chains = new Map(fixed.chains);
    this.lists = new Map([...fixed.chains.keys()].map((name) => [name, new Map()]));
    this.latest = { ...fixed, chains: this.chains, version: {} };
  }

  /** A service adds these chains and rules in the place of those; absent: none. */
  replace(service: string, former: Chains = NONE, present: Chains = NONE): void {
    for (const [name, rules] of former) if (!present.has(name)) this.set(service, name, rules, []);
    for (const [name, rules] of present) this.set(service, name, former.get(name) ?? [], rules);
  }

  /** As of now; the same value as long as nothing has changed. Its `chains` go on to change. */
  wanted(): WantedTable {
    if (this.changedChains.size + this.edits.size === 0) return this.latest;
    for (const name of this.edits.keys()) this.chains.set(name, this.wholeList(name));
    const from = this.latest.version;
    const changes = { from, chains: this.changedChains, lists: this.edits };
    this.latest = { ...this.fixed, chains: this.chains, version: {}, changes };
    this.changedChains = new Set();
    this.edits = new Map();
    return this.latest;
  }

  private set(service: string, name: string, former: ChainRules, present: ChainRules): void {
    if (isSame(former, present)) return;
    const list = this.lists.get(name);
    if (!list) {
      if (present.length > 0) this.chains.set(name, present);
      else this.chains.delete(name);
      this.changedChains.add(name);
      return;
    }
    const edits = this.edits.get(name) ?? { removed: [], added: [] };
    this.edits.set(name, edits);
    edits.removed.push(...former);
    edits.added.push(...present);
    if (present.length > 0) list.set(service, present);
    else list.delete(service);
  }

  private wholeList(name: string): ChainRules {
    const whole: string[] = [];
    for (const rules of this.lists.get(name)!.values()) for (const rule of rules) whole.push(rule);
    for (const rule of this.fixed.chains.get(name)!) whole.push(rule);
    return whole;
  }
}

const isSame = (a: ChainRules, b: ChainRules): boolean =>
  a.length === b.length && a.every((rule, i) => rule === b[i]);
