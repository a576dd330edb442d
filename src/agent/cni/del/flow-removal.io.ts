// Conntrack entries of freed addresses. They go a moment later, many addresses in one walk over the
// kernel's table; an address that is given out before that has its former owner's forgotten first, and
// none of the new one's afterwards. What a crash left undone is found at the start: free addresses.
import type { Log } from '../../../base/log.io.ts';
import { messageOf } from '../../../base/op-error.ts';
import { hostCidr } from '../../../net/cidr.ts';
import type { Ip } from '../../../net/ip.ts';
import type { CniContext } from '../context.ts';
import { Gathered } from './gathered.io.ts';

/**
 * An address may be wanted again soon; an ADD should not have to wait for a walk. DELs one by one
 * do not walk a large table all the time: a twentieth of it.
 */
const TIMING = {
  quietMilliseconds: 100,
  patienceMilliseconds: 1000,
  repeatMilliseconds: 5000,
  rest: 20,
  most: 4096,
};

export const openFlowRemoval = (
  work: (ips: readonly Ip[]) => Promise<void>,
  log: Log,
  timing = TIMING,
): Gathered<Ip> => new Gathered({ what: 'conntrack entries', ...timing, work, log });

/**
 * At a start: of addresses that an earlier run had freed, but not come to forget the flows of. An
 * endpoint may have one that Calico's IPAM does not record.
 */
export function forgetFormerFlows({
  flows,
  view,
  allocator,
}: Pick<CniContext, 'flows' | 'view' | 'allocator'>): void {
  const named = new Set(view.endpoints.flatMap(({ endpoint }) => endpoint.spec.ipNetworks ?? []));
  for (const ip of allocator.freeAddresses()) if (!named.has(hostCidr(ip))) flows.add(ip);
}

/** The addresses get a new owner. A kernel that refuses must not keep pods from starting: it is logged. */
export async function settleFlows(
  { flows, log }: Pick<CniContext, 'flows' | 'log'>,
  ips: readonly Ip[],
): Promise<void> {
  for (const ip of ips) {
    const gone = flows.gone(ip);
    if (!gone) continue;
    await gone.catch((cause: unknown) =>
      log.warn({ ip, cause: messageOf(cause) }, 'a former owner’s conntrack entries stay'),
    );
    flows.drop(ip);
  }
}
