// CNI ADD. The address and the WorkloadEndpoint are one datastore transaction; the veth is made
// while that travels; the answer goes out only after the endpoint's policy is in the kernel.
// Every step pushes its inverse, so that a failure leaves nothing behind.
import { randomBytes } from 'node:crypto';
import { OpError } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import { UndoList } from '../../../base/undo.ts';
import { endpointIdentity } from '../../../cni/endpoint.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import * as plan from '../../../cni/plan.ts';
import { type CniRequest, handleIdOf } from '../../../cni/request.ts';
import { printResult } from '../../../cni/result.ts';
import { type Kernel, type Link, ROUTE_PROTOCOL } from '../../../kernel/kernel.ts';
import { printResource } from '../../../model/resource.ts';
import { familyOf, type Ip } from '../../../net/ip.ts';
import { type Mac, macFromBytes, parseMac } from '../../../net/mac.ts';
import type { CniContext } from '../context.ts';
import { assignError, errorOf } from '../failure.ts';
import { type Assigned, assign, type Call, endpointOf } from './assign.io.ts';
import { mtuFor, passGates } from './conditions.io.ts';
import { addressesOutside } from './outside.io.ts';
import { findOwner, type Owner } from './owner.io.ts';

/** Answers the result JSON for stdout, or the error; after an error nothing is left. */
export async function addPod(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  context.removal.putOff();
  context.journal.forget(handleIdOf(request)); // the container is there again: it keeps its address
  const mtu = mtuFor(context, request.config);
  if (!mtu.ok) return mtu;
  const passed = await passGates(request.config.readinessGates);
  if (!passed.ok) return passed;
  const found = await findOwner(context, request);
  if (!found.ok) return found;
  const undo = new UndoList();
  try {
    const added = await begin(context, request, found.value, { mtu: mtu.value, undo });
    if (!added.ok) await rollBack(context, request, undo);
    return added;
  } catch (cause) {
    await rollBack(context, request, undo);
    return fail(errorOf(cause));
  }
}

async function begin(
  context: CniContext,
  request: CniRequest,
  owner: Owner,
  rest: Pick<Call, 'mtu' | 'undo'>,
): Promise<Result<string, CniError>> {
  const outside = await addressesOutside(context, request, owner.wishes, rest.undo);
  if (!outside.ok) return outside;
  const identity = endpointIdentity(context.node, request);
  return wire({
    context,
    request,
    identity,
    owner,
    mac: owner.wishes.mac ?? formerMac(context, request, identity.key) ?? randomMac(),
    outside: outside.value,
    ...rest,
  });
}

async function wire(call: Call): Promise<Result<string, CniError>> {
  const { context } = call;
  await context.failpoint('add:start');
  // All three at once: the kernel makes the pair, the datastore takes the address, the chains are
  // written. What is awaited below must not end the process by failing before.
  const making = makeVeth(call).catch((cause: unknown) => fail(errorOf(cause)));
  const assigning = assign(call);
  assigning.catch(() => {});
  programAhead(call);
  const made = await making;
  try {
    const assigned = await assigning;
    if (!made.ok) return made;
    if (assigned.kind !== 'assigned') return fail(assignError(assigned));
    return await connect(call, made.value, assigned);
  } finally {
    if (made.ok) made.value.pod.kernel.close();
  }
}

/** The pair with its address, and the pod's policy in the kernel. */
async function connect(
  call: Call,
  veth: Veth,
  assigned: Assigned,
): Promise<Result<string, CniError>> {
  const { context, identity } = call;
  await context.failpoint('add:assigned');
  if (assigned.ips.some((ip) => familyOf(ip) === 6))
    context.log.warn({ endpoint: identity.name }, 'no policy is programmed for IPv6 yet');
  const programmed = context.policy.putEndpoint(
    identity.key,
    assigned.endpointJson,
    assigned.revision,
  );
  programmed.catch(() => {}); // awaited below; a failure before that must not end the process
  configurePod(call, veth.pod, assigned.ips);
  await context.failpoint('add:configured');
  addHostRoutes(call, veth.host, assigned.ips);
  await context.failpoint('add:routed');
  await programmed;
  await context.failpoint('add:programmed');
  return ok(resultOf(call, assigned.ips));
}

function resultOf({ request, identity, mac, mtu, outside }: Call, ips: readonly Ip[]): string {
  const { cniVersion, previous } = request.config;
  return printResult(cniVersion, {
    hostInterface: identity.hostInterface,
    containerInterface: request.ifname,
    mac,
    mtu,
    sandbox: request.netns,
    ips,
    ...(outside ? { routes: outside.routes, dns: outside.dns } : {}),
    previous,
  });
}

/** Beside so many others a call waits for the processor, and doing things twice makes all slower. */
const CALLS_AHEAD_MAX = 3;

// The endpoint's chains do not depend on its address: they are written while that is being stored. What
// is handed over here is replaced by what was stored before the call answers.
function programAhead(call: Call): void {
  const { context, identity, undo } = call;
  undo.push('policy', () => context.policy.removeEndpoint(identity.key));
  if (context.callCount() > CALLS_AHEAD_MAX) return;
  const ahead = endpointOf(call, []);
  context.policy.putEndpoint(identity.key, printResource(ahead)).catch(() => {});
}

/** The container's side: its namespace, open, and the interface in it. */
interface PodSide {
  readonly kernel: Kernel;
  readonly link: Link;
}

interface Veth {
  readonly host: Link;
  readonly pod: PodSide;
}

async function makeVeth(call: Call): Promise<Result<Veth, CniError>> {
  const { context, request, identity } = call;
  const { kernel, removal } = context;
  const hasV6 = wantsV6(call);
  const removed = removal.gone(identity.hostInterface);
  if (removed) await removed;
  // A pair of the same name is what an earlier, unfinished ADD of this pod left.
  if (kernel.link(identity.hostInterface)) await kernel.deleteLink(identity.hostInterface);
  let link = await addPair(call);
  if (!link) {
    await removal.removeAll(); // a former container's of this namespace may be among them
    link = await addPair(call);
  }
  if (!link) {
    const msg = `interface ${request.ifname} already exists in the container; call DEL first`;
    return fail(cniError('internal', msg));
  }
  removal.made(link.name, request.containerId);
  call.undo.push('veth', async () => void (await kernel.deleteLink(identity.hostInterface)));
  setSysctls(kernel, plan.hostSysctls(link.name, hasV6), hasV6);
  kernel.apply(plan.hostLinkChanges(link.index));
  await context.failpoint('add:veth');
  return ok({ host: link, pod: openPod(call, hasV6) });
}

/** Undefined: the container has an interface of that name already. */
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

// What needs no address is done while that is being stored.
function openPod({ request, context }: Call, hasV6: boolean): PodSide {
  const { config, ifname, netns } = request;
  const kernel = context.kernel.enter(netns);
  try {
    const link = kernel.link(ifname);
    if (!link)
      throw new OpError(`configure ${ifname}`, 'the interface vanished from the container');
    setSysctls(kernel, plan.podSysctlsBefore(ifname, hasV6), hasV6);
    setSysctls(kernel, plan.podSysctls(config.allowIpForwarding, hasV6), hasV6);
    kernel.apply(plan.podLinkUp(link.index));
    return { kernel, link };
  } catch (cause) {
    kernel.close();
    throw cause;
  }
}

function configurePod(call: Call, { kernel, link }: PodSide, ips: readonly Ip[]): void {
  const { config, ifname } = call.request;
  const destinations = plan.destinationsOf(call.outside?.routes ?? [], config.includeDefaultRoutes);
  const metric = plan.metricOf(ifname, link.index);
  kernel.apply(plan.podAddresses(link.index, ips, { destinations, metric }));
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

const ENOENT = 2;
const EEXIST = 17;

// A route that already leads to the pod's own interface is success. One of BGP leads to the node that
// the address left: the speaker has not heard of the move yet. Any other is named.
function addHostRoutes(call: Call, host: Link, ips: readonly Ip[]): void {
  const { kernel } = call.context;
  for (const address of ips) {
    const route = plan.hostRoute(host.index, address);
    try {
      kernel.apply([{ kind: 'addRoute', route }]);
    } catch (cause) {
      if (!(cause instanceof OpError) || cause.errno !== EEXIST) throw cause;
      const taken = kernel.routes().find((other) => other.destination === route.destination);
      if (taken?.linkIndex === host.index) continue;
      if (taken?.protocol === ROUTE_PROTOCOL.bird) {
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

async function rollBack(context: CniContext, request: CniRequest, undo: UndoList): Promise<void> {
  const { log, recoverSoon } = context;
  const failures = await undo.rollBack();
  for (const { what, cause } of failures)
    log.error({ what, cause: String(cause), container: request.containerId }, 'undo failed');
  if (failures.length > 0) recoverSoon();
}

// A repeated ADD of the same container keeps its MAC beside its address.
function formerMac({ view }: CniContext, request: CniRequest, key: string): Mac | undefined {
  const { containerID, mac } = view.endpoint(key)?.endpoint.spec ?? {};
  return containerID === request.containerId && mac ? parseMac(mac) : undefined;
}

// Locally administered, unicast.
function randomMac(): Mac {
  const bytes = randomBytes(6);
  bytes[0] = (bytes[0]! & 0xfe) | 0x02;
  return macFromBytes(bytes);
}
