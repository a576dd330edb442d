// This node's tables, for the commands about services. The kernel's door is opened on demand: the
// other commands run where there is none.
import { existsSync } from 'node:fs';
import type { Tables } from '../../kernel/tables.ts';
import { ServiceWriter } from '../../services/write/writer.io.ts';
import type { ServiceTables } from './listing.ts';

const IPV6 = '/proc/net/if_inet6';

async function withTables<T>(work: (tables: Tables) => Promise<T>): Promise<readonly T[]> {
  const { openTables } = await import('../../kernel/iptables/tables.io.ts');
  const done: T[] = [];
  for (const family of existsSync(IPV6) ? ([4, 6] as const) : ([4] as const)) {
    const tables = await openTables({ family });
    try {
      done.push(await work(tables));
    } finally {
      await tables.close();
    }
  }
  return done;
}

/** What both families' tables hold now, with counters. */
export const readServiceTables = (): Promise<readonly ServiceTables[]> =>
  withTables(async (tables) => ({
    filter: (await tables.counts?.('filter')) ?? new Map(),
    nat: (await tables.counts?.('nat')) ?? new Map(),
  }));

/** Takes a service proxy's rules out of the kernel; answers how many lines that took. */
export async function releaseServices(): Promise<number> {
  const lines = await withTables((tables) => new ServiceWriter(tables).release());
  return lines.reduce((sum, n) => sum + n, 0);
}
