// Uninstall on one node: every chain, set, route, link and file of ours goes; what is foreign
// stays. Run by the chart's clean-up hook as `agent.mjs cleanup`.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../base/log.io.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ROUTE_PROTOCOL } from '../kernel/kernel.ts';
import type { Guard } from '../kernel/nftables/guard.io.ts';
import type { IpSets, Tables } from '../kernel/tables.ts';
import { TUNNEL_DEVICES } from '../model/tunnel.ts';
import type { Family } from '../net/ip.ts';
import { releaseServices } from '../services/write/release.io.ts';
import { cleanUp as cleanUpPolicy } from './policy-engine.io.ts';

export interface CleanUp {
  readonly kernel: Kernel;
  readonly tables: Tables;
  /** Absent on a machine without IPv6. */
  readonly ipv6Tables: Tables | undefined;
  readonly ipSets: IpSets;
  readonly guards?: Readonly<Record<Family, Guard>>;
  /** State directory and socket, e.g. `/var/lib/calico`. */
  readonly paths: readonly string[];
  readonly removeCni: () => void;
  /** Rules of services are ours, and nobody else serves them. */
  readonly releasesServices: boolean;
  readonly log: Log;
}

/** Removes in the order in which nothing new can appear: CNI files first. */
export async function cleanUpNode({
  kernel,
  tables,
  ipv6Tables,
  ipSets,
  guards,
  paths,
  removeCni,
  releasesServices,
  log,
}: CleanUp): Promise<void> {
  removeCni();
  for (const link of kernel.links()) {
    if (/^cali[0-9a-z]{1,11}$/.test(link.name) && link.kind === 'veth')
      await kernel.deleteLink(link.name);
  }
  for (const name of [TUNNEL_DEVICES.vxlan, TUNNEL_DEVICES.vxlanV6]) await kernel.deleteLink(name);
  const routes = [ROUTE_PROTOCOL.bird, ROUTE_PROTOCOL.overlay].flatMap((protocol) =>
    kernel.routes({ protocol }),
  );
  kernel.apply(routes.map((route) => ({ kind: 'deleteRoute', route })));
  // Before the rules, without which it would let nothing through.
  for (const guard of Object.values(guards ?? {})) await guard.remove();
  await cleanUpPolicy(tables, ipSets, 4);
  if (ipv6Tables) await cleanUpPolicy(ipv6Tables, ipSets, 6);
  if (releasesServices) await releaseServices(kernel, tables, ipv6Tables);
  for (const path of paths) emptyFolder(path);
  log.info(
    { routes: routes.length },
    'the node is clean: no chain, set, route, link or file is left',
  );
}

// The folders themselves are mount points of the pod.
function emptyFolder(path: string): void {
  for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true, force: true });
}
