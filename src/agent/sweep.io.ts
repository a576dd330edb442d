// What a crash may have left on this node: endpoints whose pod and interface are both gone, pod
// interfaces that no endpoint names, and addresses without an endpoint. Run after the first in-sync
// and now and then, alone (no call is under way), so that nothing leaks and nothing that lives is
// touched.
import { attachmentOf } from '../cni/attachments.ts';
import { handleSuffix } from '../cni/request.ts';
import { MAIN_PLUGIN } from '../model/ipam.ts';
import { hostCidr } from '../net/cidr.ts';
import { podInterfaceName } from '../net/ifname.ts';
import type { Ip } from '../net/ip.ts';
import type { CniContext } from './cni/context.ts';
import type { StoredEndpoint } from './view.ts';

export interface Swept {
  readonly endpoints: number;
  readonly addresses: number;
  readonly interfaces: number;
}

/** Handles are `<network>.<containerId>`; tunnel addresses are kept by their own owner. */
const isTunnelHandle = (handle: string): boolean => /-tunnel-addr-/.test(handle);

/** Removes what is provably dead; answers what was removed. Throws OpError when the store fails. */
export async function sweepNode(context: CniContext): Promise<Swept> {
  const present = new Set(context.kernel.links().map(({ name }) => name));
  const dead = context.view.endpoints.filter((stored) => isDead(context, present, stored));
  let addresses = 0;
  for (const stored of dead) addresses += await removeEndpoint(context, stored);
  addresses += await releaseUnowned(context);
  return { endpoints: dead.length, addresses, interfaces: await removeStrayInterfaces(context) };
}

// An endpoint lives while its interface exists; without one it still lives while Kubernetes has
// the pod, because the runtime will repeat ADD or call DEL for it.
function isDead(
  context: CniContext,
  present: ReadonlySet<string>,
  { endpoint }: StoredEndpoint,
): boolean {
  const { spec, metadata } = endpoint;
  if (present.has(spec.interfaceName ?? '')) return false;
  if (spec.orchestrator !== 'k8s' || !context.pods) return true;
  return context.pods.inSync && !context.pods.known(metadata.namespace ?? '', spec.pod ?? '');
}

async function removeEndpoint(context: CniContext, stored: StoredEndpoint): Promise<number> {
  const suffix = handleSuffix(attachmentOf(stored.endpoint));
  const outcome = await context.allocator.release({
    handleId: handleEndingIn(context, suffix) ?? suffix,
    alongside: {
      compares: [{ key: stored.key, revision: stored.revision }],
      writes: [{ kind: 'delete', key: stored.key }],
    },
  });
  if (outcome.kind === 'unavailable') throw outcome.error;
  if (outcome.kind !== 'released') return 0; // changed meanwhile: somebody lives
  context.view.remove(stored.key, stored.revision);
  context.policy.removeEndpoint(stored.key);
  for (const ip of outcome.ips) context.flows.add(ip);
  return outcome.ips.length;
}

const handleEndingIn = (context: CniContext, suffix: string): string | undefined =>
  [...context.allocator.handles().keys()].find((handle) => handle.endsWith(suffix));

async function releaseUnowned(context: CniContext): Promise<number> {
  const living = context.view.endpoints.flatMap(({ endpoint }) => {
    const attachment = attachmentOf(endpoint);
    // Calico's own plugin gives every interface of a container the one handle.
    return [handleSuffix(attachment), `.${attachment.containerId}`];
  });
  const isLiving = (handle: string): boolean => living.some((suffix) => handle.endsWith(suffix));
  let released = 0;
  for (const [handle, ips] of context.allocator.handles()) {
    // An address that something still answers for (another main plugin's) is not ours to judge.
    if (isTunnelHandle(handle) || isLiving(handle) || isForeign(context, handle, ips)) continue;
    const outcome = await context.allocator.release({ handleId: handle });
    if (outcome.kind === 'unavailable') throw outcome.error;
    if (outcome.kind !== 'released') continue;
    for (const ip of outcome.ips) context.flows.add(ip);
    released += outcome.ips.length;
  }
  return released;
}

// Another main plugin's addresses have no endpoint, and it may answer for them on a bridge, without any
// route: they go by DEL and GC. Those of Calico's own plugin do not say so, but have a route.
function isForeign(context: CniContext, handle: string, ips: readonly Ip[]): boolean {
  if (context.allocator.factsOf(handle)[MAIN_PLUGIN] !== undefined) return true;
  const routed = new Set(context.kernel.routes().map((route) => route.destination));
  return ips.some((ip) => routed.has(hostCidr(ip)));
}

async function removeStrayInterfaces(context: CniContext): Promise<number> {
  const named = new Set(
    context.view.endpoints.map(({ endpoint }) => endpoint.spec.interfaceName ?? ''),
  );
  // A pod that lives keeps its interface even when the datastore forgot it.
  for (const { metadata } of context.pods?.all() ?? []) {
    named.add(podInterfaceName(metadata.namespace ?? '', metadata.name));
  }
  const links = context.kernel.links();
  context.removal.present(new Set(links.map((link) => link.name)));
  const stray = links.filter(
    (link) =>
      /^cali[0-9a-z]{1,11}$/.test(link.name) && link.kind === 'veth' && !named.has(link.name),
  );
  for (const link of stray) await context.removal.remove(link.name);
  return stray.length;
}
