// This node's tables, for the commands about services. The kernel's door is opened on demand: the
// other commands run where there is none.
import { existsSync } from 'node:fs';
import type { Tables } from '../../kernel/tables.ts';
import { releaseServices } from '../../services/write/release.io.ts';
import type { ServiceTables } from './listing.ts';

const IPV6 = '/proc/net/if_inet6';

async function withTables<T>(
  work: (tables: Tables, ipv6Tables: Tables | undefined) => Promise<T>,
): Promise<T> {
  const { openTables } = await import('../../kernel/iptables/tables.io.ts');
  const tables = await openTables({});
  const ipv6Tables = existsSync(IPV6) ? await openTables({ family: 6 }) : undefined;
  try {
    return await work(tables, ipv6Tables);
  } finally {
    await tables.close();
    await ipv6Tables?.close();
  }
}

const countsOf = async (tables: Tables): Promise<ServiceTables> => ({
  filter: (await tables.counts?.('filter')) ?? new Map(),
  nat: (await tables.counts?.('nat')) ?? new Map(),
});

/** What both families' tables hold now, with counters. */
export const readServiceTables = (): Promise<readonly ServiceTables[]> =>
  withTables((tables, ipv6Tables) =>
    Promise.all((ipv6Tables ? [tables, ipv6Tables] : [tables]).map(countsOf)),
  );

/** Takes a service proxy's rules out of the kernel; answers how many lines that took. */
export async function releaseNode(): Promise<number> {
  const { openKernel } = await import('../../kernel/netns.io.ts');
  const kernel = openKernel(process.env['CALICO_PROC_SYS_NET']);
  return withTables((tables, ipv6Tables) => releaseServices(kernel, tables, ipv6Tables));
}
