// The kernel half of ADD: the pair with both its ends, and the host's routes to the pod.
import { OpError } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import * as plan from '../../../cni/plan.ts';
import { type Kernel, type Link, type LinkChange, ROUTE_PROTOCOL } from '../../../kernel/kernel.ts';
import { familyOf, type Ip } from '../../../net/ip.ts';
import { stableFor } from './assign.io.ts';
import { type Call, reach } from './call.io.ts';

const ENOENT = 2;
const EEXIST = 17;

export interface Veth {
  readonly host: Link;
  /** Of the interface in the container. */
  readonly podIndex: number;
}

/** Makes the pair and does to it what needs no address. Throws OpError. */
export async function makeVeth(call: Call): Promise<Result<Veth, CniError>> {
  const { request, identity, owner } = call;
  const { kernel, removal } = call.context;
  const hasV6 = wantsV6(call);
  const removed = removal.gone(identity.hostInterface);
  if (removed) await removed;
  let link = await addPair(call);
  // A pair of the same name is what an earlier, unfinished ADD of this pod left.
  if (!link && (await removal.remove(identity.hostInterface))) link = await addPair(call);
  if (!link) {
    await removal.removeAll(); // a former container's of this namespace may be among them
    link = await addPair(call);
  }
  if (!link) {
    const msg = `interface ${request.ifname} already exists in the container; call DEL first`;
    return fail(cniError('internal', msg));
  }
  removal.made(link, request.containerId);
  call.undo.push('veth', () => unmake(call));
  setSysctls(kernel, plan.hostSysctls(link.name, hasV6), hasV6);
  const maySpoof = owner.wishes.sourcePrefixes.length > 0;
  const podIndex = preparePod(call, link, hasV6);
  limitBandwidth(call, link, podIndex);
  await Promise.all([
    change(call, kernel, plan.hostLinkChanges(link.index, maySpoof)),
    change(call, call.inside, plan.podLinkUp(podIndex)),
  ]);
  await reach(call, 'add:veth');
  return ok({ host: link, podIndex });
}

/** From here on the main thread has better things to do than to wait for the lock of the kernel's links. */
const CALLS_MANY = 3;

/** Throws OpError of the first refusal. */
async function change(
  { context }: Call,
  kernel: Kernel,
  changes: readonly LinkChange[],
): Promise<void> {
  const isBusy = context.callCount() > CALLS_MANY;
  const [refused] = isBusy ? await kernel.applyAside(changes) : kernel.applyEach(changes);
  if (refused) throw refused.error;
}

// A newer container of the pod may have made its own under the name.
async function unmake({ context, request, identity }: Call): Promise<void> {
  if (context.removal.mayBelongTo(identity.hostInterface, request.containerId))
    await context.removal.remove(identity.hostInterface);
}

/** Undefined: an interface of one of the two names exists already. */
async function addPair(call: Call): Promise<Link | undefined> {
  const { context, request, identity, mac, mtu } = call;
  try {
    return await context.kernel.addVeth({
      name: identity.hostInterface,
      peer: request.ifname,
      peerNetns: request.netns,
      mtu,
      peerMac: mac,
    });
  } catch (cause) {
    if (cause instanceof OpError && cause.errno === EEXIST) return undefined;
    throw cause;
  }
}

// Where the kernel has no token bucket the pod does not get to run without its limit.
function limitBandwidth({ context, inside, owner, mtu }: Call, { index }: Link, podIndex: number) {
  const { qos } = owner.wishes;
  if (!qos) return;
  const [refused] = [
    ...context.kernel.applyEach(plan.shaping(index, 'ingress', qos, mtu)),
    ...inside.applyEach(plan.shaping(podIndex, 'egress', qos, mtu)),
  ];
  if (!refused) return;
  // Not with its errno: ENOENT would say that the container is gone.
  throw new OpError('limit bandwidth', `sch_tbf cannot be used: ${refused.error.message}`);
}

// What has to be so before the pod's link comes up; answers the link's index.
function preparePod({ request, inside }: Call, { peerIndex }: Link, hasV6: boolean): number {
  const { config, ifname } = request;
  if (!peerIndex) throw new OpError(`configure ${ifname}`, 'the kernel does not tell its index');
  setSysctls(inside, plan.podSysctlsBefore(ifname, hasV6), hasV6);
  setSysctls(inside, plan.podSysctls(config.allowIpForwarding, hasV6), hasV6);
  return peerIndex;
}

/** Addresses and routes inside the container. Throws OpError. */
export async function configurePod(
  call: Call,
  { podIndex }: Veth,
  ips: readonly Ip[],
): Promise<void> {
  const { config, ifname } = call.request;
  const destinations = plan.destinationsOf(call.outside?.routes ?? [], config.includeDefaultRoutes);
  const metric = plan.metricOf(ifname, podIndex);
  await change(call, call.inside, plan.podAddresses(podIndex, ips, { destinations, metric }));
}

const wantsV6 = ({ owner, outside }: Call): boolean =>
  outside ? outside.ips.some((ip) => familyOf(ip) === 6) : owner.wishes.assign6;

// A kernel without IPv6 has none of its sysctls; it needs none where no IPv6 is wanted.
function setSysctls(kernel: Kernel, sysctls: readonly plan.Sysctl[], hasV6: boolean): void {
  for (const [key, value] of sysctls) {
    try {
      kernel.setSysctl(key, value);
    } catch (cause) {
      const absent = cause instanceof OpError && cause.errno === ENOENT;
      if (!absent || hasV6 || !key.startsWith('ipv6/')) throw cause;
    }
  }
}

/**
 * A route that already leads to the pod's own interface is success. One of BGP leads to the node
 * that the address left: the speaker has not heard of the move yet. A kept address may have
 * come from a former pod of this node, still to be removed. Any other is named. Throws OpError.
 */
export async function addHostRoutes(call: Call, { host }: Veth, ips: readonly Ip[]): Promise<void> {
  const { kernel } = call.context;
  for (const address of ips) {
    const route = plan.hostRoute(host.index, address);
    try {
      await change(call, kernel, [{ kind: 'addRoute', route }]);
    } catch (cause) {
      if (!(cause instanceof OpError) || cause.errno !== EEXIST) throw cause;
      const taken = kernel.routes().find((other) => other.destination === route.destination);
      if (taken?.linkIndex === host.index) continue;
      if (taken?.protocol === ROUTE_PROTOCOL.bird || stableFor(call)) {
        kernel.apply([{ kind: 'replaceRoute', route }]);
        continue;
      }
      const other =
        kernel.links().find((link) => link.index === taken?.linkIndex)?.name ?? 'another device';
      throw new OpError(
        `route ${route.destination} dev ${host.name}`,
        `the route exists on ${other}`,
      );
    }
  }
}
