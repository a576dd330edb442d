// CNI ADD. The address and the WorkloadEndpoint are one datastore transaction; the veth is made
// while that travels; the answer goes out only after the endpoint's policy is in the kernel.
// Every step pushes its inverse, so that a failure leaves nothing behind.
import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { OpError } from '../../../base/op-error.ts';
import { fail, ok, type Result } from '../../../base/result.ts';
import { UndoList } from '../../../base/undo.ts';
import { buildEndpoint, endpointIdentity } from '../../../cni/endpoint.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import * as plan from '../../../cni/plan.ts';
import type { CniRequest } from '../../../cni/request.ts';
import { type AddResult, printResult } from '../../../cni/result.ts';
import type { Link } from '../../../kernel/kernel.ts';
import type { Pod } from '../../../kubernetes/api.ts';
import { printResource } from '../../../model/resource.ts';
import { hostCidr } from '../../../net/cidr.ts';
import { familyOf, type Ip } from '../../../net/ip.ts';
import { type Mac, macFromBytes } from '../../../net/mac.ts';
import type { CniContext } from '../context.ts';
import { assignError, errorOf } from '../failure.ts';
import { assign, type Call } from './assign.io.ts';

/** Answers the result JSON for stdout, or the error; after an error nothing is left. */
export async function addPod(
  context: CniContext,
  request: CniRequest,
): Promise<Result<string, CniError>> {
  context.removal.putOff();
  const pod = await findPod(context, request);
  if (!pod.ok) return pod;
  const identity = endpointIdentity(context.node, request);
  const undo = new UndoList();
  const call: Call = { context, request, identity, pod: pod.value, mac: randomMac(), undo };
  try {
    const added = await wire(call);
    if (added.ok) return added;
    await rollBack(call);
    return added;
  } catch (cause) {
    await rollBack(call);
    return fail(errorOf(cause));
  }
}

async function findPod(
  context: CniContext,
  request: CniRequest,
): Promise<Result<Pod | undefined, CniError>> {
  if (!request.pod || !request.config.kubernetesPolicy || !context.pods) return ok(undefined);
  const { namespace, name } = request.pod;
  try {
    const pod = await context.pods.find(namespace, name, request.pod.uid);
    return pod
      ? ok(pod)
      : fail(cniError('containerUnknown', `pod ${namespace}/${name} does not exist`));
  } catch (cause) {
    return fail(
      cniError('tryAgain', `the Kubernetes API cannot be asked about the pod: ${String(cause)}`),
    );
  }
}

async function wire(call: Call): Promise<Result<string, CniError>> {
  const { context, request, identity } = call;
  await context.failpoint('add:start');
  const assigning = assign(call); // travels while the veth is made
  assigning.catch(() => {}); // awaited below; a failure before that must not end the process
  programAhead(call);
  await setImmediate(); // lets both be sent before the kernel takes the thread
  const made = await makeVeth(call).catch((cause: unknown) => fail(errorOf(cause)));
  const assigned = await assigning;
  if (!made.ok) return made;
  if (assigned.kind !== 'assigned') return fail(assignError(assigned));
  await context.failpoint('add:assigned');
  const programmed = context.policy.putEndpoint(
    identity.key,
    assigned.endpointJson,
    assigned.revision,
  );
  programmed.catch(() => {}); // awaited below; a failure before that must not end the process
  configurePod(call, assigned.ips);
  await context.failpoint('add:configured');
  addHostRoutes(call, made.value, assigned.ips);
  await context.failpoint('add:routed');
  await programmed;
  await context.failpoint('add:programmed');
  const result: AddResult = {
    hostInterface: identity.hostInterface,
    containerInterface: request.ifname,
    mac: call.mac,
    sandbox: request.netns,
    ips: assigned.ips,
  };
  return ok(printResult(request.config.cniVersion, result));
}

// The endpoint's chains do not depend on its address: they are written while that is being stored. What
// is handed over here is replaced by what was stored before the call answers.
function programAhead({ context, request, identity, pod, mac, undo }: Call): void {
  const ahead = buildEndpoint({
    node: context.node,
    request,
    identity,
    pod,
    mac,
    ips: [],
    uid: '',
    creationTimestamp: '',
  });
  undo.push('policy', () => context.policy.removeEndpoint(identity.key));
  context.policy.putEndpoint(identity.key, printResource(ahead)).catch(() => {});
}

async function makeVeth(call: Call): Promise<Result<Link, CniError>> {
  const { context, request, identity } = call;
  const { kernel, removal } = context;
  const hasV6 = request.config.assignIpv6;
  await removal.gone(identity.hostInterface);
  // A pair of the same name is what an earlier, unfinished ADD of this pod left.
  if (kernel.link(identity.hostInterface)) await kernel.deleteLink(identity.hostInterface);
  let link = addPair(call);
  if (!link && removal.waiting > 0) {
    await removal.removeAll(); // a former container of this namespace may be among them
    link = addPair(call);
  }
  if (!link) {
    const msg = `interface ${request.ifname} already exists in the container; call DEL first`;
    return fail(cniError('internal', msg));
  }
  removal.made(link.name, request.containerId);
  call.undo.push('veth', async () => void (await kernel.deleteLink(identity.hostInterface)));
  for (const [key, value] of plan.hostSysctls(link.name, hasV6)) kernel.setSysctl(key, value);
  kernel.apply(plan.hostLinkChanges(link.index));
  await context.failpoint('add:veth');
  return ok(link);
}

/** Undefined: the container has an interface of that name already. */
function addPair({ context, request, identity, mac }: Call): Link | undefined {
  try {
    return context.kernel.addVeth({
      name: identity.hostInterface,
      peer: request.ifname,
      peerNetns: request.netns,
      mtu: request.config.mtu || context.effectiveMtu,
      peerMac: mac,
    });
  } catch (cause) {
    if (cause instanceof OpError && cause.errno === EEXIST) return undefined;
    throw cause;
  }
}

function configurePod(call: Call, ips: readonly Ip[]): void {
  const { context, request } = call;
  const inside = context.kernel.enter(request.netns);
  try {
    const link = inside.link(request.ifname);
    if (!link)
      throw new OpError(`configure ${request.ifname}`, 'the interface vanished from the container');
    if (ips.some((address) => familyOf(address) === 6))
      inside.setSysctl('ipv6/conf/all/disable_ipv6', '0');
    inside.apply(plan.podChanges(link.index, ips));
    for (const [key, value] of plan.podSysctls(request.config.allowIpForwarding))
      inside.setSysctl(key, value);
  } finally {
    inside.close();
  }
}

const EEXIST = 17;

// A route that already leads to the pod's own interface is success; any other is named.
function addHostRoutes(call: Call, host: Link, ips: readonly Ip[]): void {
  const { kernel } = call.context;
  for (const address of ips) {
    try {
      kernel.apply([{ kind: 'addRoute', route: plan.hostRoute(host.index, address) }]);
    } catch (cause) {
      if (!(cause instanceof OpError) || cause.errno !== EEXIST) throw cause;
      const taken = kernel.routes().find((route) => route.destination === hostCidr(address));
      if (taken?.linkIndex === host.index) continue;
      const other =
        kernel.links().find((link) => link.index === taken?.linkIndex)?.name ?? 'another device';
      throw new OpError(
        `route ${hostCidr(address)} dev ${host.name}`,
        `the route exists on ${other}`,
      );
    }
  }
}

async function rollBack(call: Call): Promise<void> {
  const failed = await call.undo.rollBack();
  for (const { what, cause } of failed) {
    call.context.log.error(
      { what, cause: String(cause), container: call.request.containerId },
      'undo failed',
    );
  }
}

// Locally administered, unicast.
function randomMac(): Mac {
  const bytes = randomBytes(6);
  bytes[0] = (bytes[0]! & 0xfe) | 0x02;
  return macFromBytes(bytes);
}
