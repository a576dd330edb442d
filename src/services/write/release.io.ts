// The way out: rules of services leave the kernel, and what was switched on for them is off before.
import type { Kernel } from '../../kernel/kernel.ts';
import type { Tables } from '../../kernel/tables.ts';
import { LOCALNET } from '../render/localnet.ts';
import { ServiceWriter } from './writer.io.ts';

/** Whether the kernel routes packets for loopback addresses that come from elsewhere. */
export const ROUTE_LOCALNET = 'ipv4/conf/all/route_localnet';

/**
 * Switches that off where a service proxy of ours had switched it on, which its guard tells, and
 * then removes the guard: never the other way round (CVE-2020-8558). Answers whether there was one.
 */
export async function releaseLocalnet(
  kernel: Pick<Kernel, 'setSysctl'>,
  tables: Tables,
): Promise<boolean> {
  if (!(await tables.read('raw')).has(LOCALNET)) return false;
  kernel.setSysctl(ROUTE_LOCALNET, '0');
  await new ServiceWriter(tables).release(['raw']);
  return true;
}

/**
 * Takes everything of services out of the kernel; answers how many lines that took.
 * `ipv6Tables`: absent on a machine without IPv6.
 */
export async function releaseServices(
  kernel: Pick<Kernel, 'setSysctl'>,
  tables: Tables,
  ipv6Tables: Tables | undefined,
): Promise<number> {
  await releaseLocalnet(kernel, tables);
  let lines = 0;
  for (const family of ipv6Tables ? [tables, ipv6Tables] : [tables])
    lines += await new ServiceWriter(family).release();
  return lines;
}
