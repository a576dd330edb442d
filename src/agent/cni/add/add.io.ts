// CNI ADD. The address and the WorkloadEndpoint are one datastore transaction; the veth is made
// while that travels; the answer goes out only after the endpoint's policy is in the kernel.
// Every step pushes its inverse, so that a failure leaves nothing behind.
import { randomUUID } from 'node:crypto';
import { fail, ok, type Result } from '../../../base/result.ts';
import { UndoList } from '../../../base/undo.ts';
import { type EndpointIdentity, endpointIdentity } from '../../../cni/endpoint.ts';
import { type CniError, cniError } from '../../../cni/errors.ts';
import { type CniRequest, handleIdOf } from '../../../cni/request.ts';
import { printResult } from '../../../cni/result.ts';
import { printResource } from '../../../model/resource.ts';
import type { Ip } from '../../../net/ip.ts';
import { type Mac, macFromBytes, parseMac } from '../../../net/mac.ts';
import type { CniContext } from '../context.ts';
import { settleFlows } from '../del/flow-removal.io.ts';
import { assignError, errorOf } from '../failure.ts';
import { unlessAborted } from '../turns.ts';
import { type Assigned, assign, endpointOf } from './assign.io.ts';
import { type Call, openContainer, reach } from './call.io.ts';
import { mtuFor, passGates } from './conditions.io.ts';
import { addressesOutside } from './outside.io.ts';
import { findOwner } from './owner.io.ts';
import { addHostRoutes, configurePod, makeVeth, type Veth } from './veth.io.ts';

const NEVER = new AbortController().signal;

/**
 * Answers the result JSON for stdout, or the error; after an error nothing is left. When `overtaken`
 * fires, it ends with an error at its next step.
 */
export async function addPod(
  context: CniContext,
  request: CniRequest,
  overtaken: AbortSignal = NEVER,
): Promise<Result<string, CniError>> {
  context.removal.putOff();
  const container = openContainer(context, request);
  if (!container.ok) return container;
  const undo = new UndoList();
  try {
    const added = await begin({ context, request, overtaken, undo, inside: container.value });
    if (!added.ok) await rollBack(context, request, undo);
    return added;
  } catch (cause) {
    await rollBack(context, request, undo);
    return fail(errorOf(cause));
  } finally {
    container.value.close();
  }
}

type Begun = Pick<Call, 'context' | 'request' | 'overtaken' | 'undo' | 'inside'>;

async function begin(begun: Begun): Promise<Result<string, CniError>> {
  const { context, request, overtaken, undo } = begun;
  const identity = endpointIdentity(context.node, request);
  const ready = await unlessAborted(overtaken, prepare(begun, identity));
  if (!ready.ok) return ready;
  const { mtu, owner } = ready.value;
  const outside = await addressesOutside(context, request, owner.wishes, { undo, overtaken });
  await reach(begun, 'add:outside');
  if (!outside.ok) return outside;
  return wire({
    ...begun,
    identity,
    owner,
    mtu,
    mac: owner.wishes.mac ?? formerMac(context, request, identity.key) ?? randomMac(),
    outside: outside.value,
  });
}

// What can refuse the call before anything is done for it.
async function prepare(
  { context, request, overtaken }: Begun,
  identity: EndpointIdentity,
): Promise<Result<Pick<Call, 'mtu' | 'owner'>, CniError>> {
  const mtu = mtuFor(context, request.config);
  if (!mtu.ok) return mtu;
  const passed = await passGates(request.config.readinessGates, overtaken);
  if (!passed.ok) return passed;
  const owner = await findOwner(context, request);
  if (!owner.ok) return owner;
  const rival = await rivalOf(context, request, identity);
  return rival ? fail(rival) : ok({ mtu: mtu.value, owner: owner.value });
}

// Outside Kubernetes the host's interface is named after the container ID's first characters, as
// Calico's is, and two containers may share them. The first keeps it.
async function rivalOf(
  { kernel, view, removal }: CniContext,
  { pod, containerId }: CniRequest,
  { key, hostInterface }: EndpointIdentity,
): Promise<CniError | undefined> {
  if (pod) return undefined;
  await removal.gone(hostInterface);
  if (!kernel.link(hostInterface)) return undefined;
  const rival = view.endpoints.find(
    (stored) => stored.key !== key && stored.endpoint.spec.interfaceName === hostInterface,
  );
  if (!rival && removal.mayBelongTo(hostInterface, containerId)) return undefined;
  const other = rival?.endpoint.spec.containerID ?? 'another container';
  const msg = `CNI_CONTAINERID ${containerId} begins like ${other}, whose host interface is ${hostInterface}; use IDs that differ in their first 11 characters`;
  return cniError('invalidEnvironment', msg);
}

async function wire(call: Call): Promise<Result<string, CniError>> {
  const { context, request } = call;
  await reach(call, 'add:start');
  // The container is there again: what it still held is its own anew, or goes with the undoing.
  context.journal.forget(handleIdOf(request));
  // All three at once, the longest first: the datastore takes the address, the kernel makes the pair,
  // the chains are written. What is awaited below must not end the process by failing before.
  const assigning = assign(call);
  assigning.catch(() => {});
  const making = makeVeth(call).catch((cause: unknown) => fail(errorOf(cause)));
  const stopAhead = programAhead(call);
  const made = await making;
  const assigned = await assigning;
  stopAhead();
  if (!made.ok) return made;
  if (assigned.kind !== 'assigned') return fail(assignError(assigned));
  return connect(call, made.value, assigned);
}

/** The pair with its address, and the pod's policy in the kernel. */
async function connect(
  call: Call,
  veth: Veth,
  assigned: Assigned,
): Promise<Result<string, CniError>> {
  const { context, identity } = call;
  await reach(call, 'add:assigned');
  const programmed = context.policy.putEndpoint(
    identity.key,
    assigned.endpointJson,
    assigned.revision,
    call.request.config.policySetupMilliseconds,
  );
  programmed.catch(() => {}); // awaited below; a failure before that must not end the process
  await together(configure(call, veth, assigned.ips), leadTo(call, veth, assigned.ips));
  await unlessAborted(call.overtaken, programmed);
  await reach(call, 'add:programmed');
  return ok(resultOf(call, assigned.ips));
}

async function configure(call: Call, veth: Veth, ips: readonly Ip[]): Promise<void> {
  await configurePod(call, veth, ips);
  await reach(call, 'add:configured');
}

/** The host's way to the pod, in a clean state. Throws OpError. */
async function leadTo(call: Call, veth: Veth, ips: readonly Ip[]): Promise<void> {
  await settleFlows(call.context, ips);
  await addHostRoutes(call, veth, ips);
  await reach(call, 'add:routed');
}

// Both have ended when either's failure is thrown: what follows undoes them.
async function together(...work: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
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

// The endpoint's chains do not depend on its address: they are written while that is being stored, once
// the request for it is on its way. What is handed over here is replaced by what was stored before the
// call answers. Answers what makes it too late.
function programAhead(call: Call): () => void {
  const { context, identity, undo } = call;
  const ahead = (): void => {
    const endpoint = endpointOf(call, []);
    context.policy.putEndpoint(identity.key, printResource(endpoint)).catch(() => {});
  };
  const soon = context.callCount() > CALLS_AHEAD_MAX ? undefined : setImmediate(ahead);
  const stop = (): void => clearImmediate(soon);
  undo.push('policy', () => {
    stop();
    unprogram(call);
  });
  return stop;
}

// A newer container of the pod has the endpoint's name, and rules of its own under it.
function unprogram({ context, request, identity }: Call): void {
  const { containerID } = context.view.endpoint(identity.key)?.endpoint.spec ?? {};
  if (!containerID || containerID === request.containerId)
    context.policy.removeEndpoint(identity.key);
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

// Locally administered, unicast. A UUID ends in 48 random bits, and Node asks the kernel for those of
// many at once.
function randomMac(): Mac {
  const bytes = Buffer.from(randomUUID().slice(-12), 'hex');
  bytes[0] = (bytes[0]! & 0xfe) | 0x02;
  return macFromBytes(bytes);
}
