// What packets to the outside carry as DSCP: the mangle chain and the set of endpoints that ask for it
// (Calico's annotation qos.projectcalico.org/dscp). Where nobody does there is neither.
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import type { DesiredSet, DesiredTable } from './desired.ts';
import type { DscpMark } from './read/endpoints.ts';
import { renderChain } from './render/rule.ts';
import { DSCP_SET, dscpChain } from './render/static-chains.ts';
import { netSet } from './sets.ts';

type Mark = readonly [source: Ip, value: number];

const NONE: readonly Mark[] = [];

export class DscpMarks {
  private readonly family: Family;
  private marks = NONE;
  private text = '';
  private last: { readonly fixed: DesiredTable; readonly table: DesiredTable } | undefined;
  private made: DesiredSet | undefined;

  constructor(family: Family) {
    this.family = family;
  }

  /** From now on those of the family, in order of the addresses; answers whether there are any. */
  take(asked: readonly DscpMark[]): boolean {
    const marks = asked
      .flatMap(({ value, addresses }) => addresses.map((source): Mark => [source, value]))
      .filter(([source]) => familyOf(source) === this.family)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const text = marks.join(' ');
    if (text !== this.text) {
      this.marks = marks;
      this.text = text;
      this.last = undefined;
      this.made = undefined;
    }
    return marks.length > 0;
  }

  /** The mangle table with their chain; the same object as before when it holds the same. */
  table(fixed: DesiredTable): DesiredTable {
    if (this.marks.length === 0) return fixed;
    if (this.last?.fixed === fixed) return this.last.table;
    const chain = renderChain(dscpChain(this.marks));
    const table = { ...fixed, chains: new Map(fixed.chains).set(chain.name, chain) };
    this.last = { fixed, table };
    return table;
  }

  /** Their addresses; the same object as before when it holds the same. */
  set(elementsMax: number): DesiredSet | undefined {
    if (this.marks.length === 0) return undefined;
    if (this.made?.meta.maxElements !== elementsMax) {
      const members = new Set(this.marks.map(([source]) => source));
      this.made = netSet(this.family, DSCP_SET, members, elementsMax);
    }
    return this.made;
  }
}
