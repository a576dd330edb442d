// The raw table with what endpoints may send from beside their own addresses.
import { cidrFamily } from '../net/cidr.ts';
import type { Family } from '../net/ip.ts';
import type { ActiveEndpoint } from './active/local-endpoints.ts';
import type { DesiredTable } from './desired.ts';
import { renderChain } from './render/rule.ts';
import { sourceChain } from './render/static-chains.ts';

export class SourceTable {
  private readonly family: Family;
  private last: { readonly fixed: DesiredTable; readonly table: DesiredTable } | undefined;

  constructor(family: Family) {
    this.family = family;
  }

  /** The same object as before when the same may be sent. */
  table(fixed: DesiredTable, allowed: readonly ActiveEndpoint[]): DesiredTable {
    const chain = sourceChain(
      allowed.map(({ interfaceName, sources }) => ({
        interfaceName,
        nets: sources.filter((net) => cidrFamily(net) === this.family),
      })),
    );
    if (chain.rules.length === 0) return fixed;
    const rendered = renderChain(chain);
    const before = this.last?.table.chains.get(chain.name);
    const isSame = before?.rules.at(-1)?.hash === rendered.rules.at(-1)!.hash;
    if (this.last?.fixed === fixed && isSame) return this.last.table;
    const table = { ...fixed, chains: new Map(fixed.chains).set(chain.name, rendered) };
    this.last = { fixed, table };
    return table;
  }
}
