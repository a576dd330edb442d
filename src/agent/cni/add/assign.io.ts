// The datastore half of ADD: address, handle and WorkloadEndpoint in one transaction, and the way
// back when a later step fails.
import { randomUUID } from 'node:crypto';
import { statefulSetOf } from '../../../cni/annotations.ts';
import { buildEndpoint } from '../../../cni/endpoint.ts';
import { handleIdOf, machineHandleOf, stableHandleOf } from '../../../cni/request.ts';
import type { AlongsideWrites, AssignOutcome, AssignRequest } from '../../../ipam/allocator.io.ts';
import { resourceKey } from '../../../model/keys.ts';
import { API_VERSION, printResource } from '../../../model/resource.ts';
import type { WorkloadEndpoint } from '../../../model/workload-endpoint.ts';
import type { Ip } from '../../../net/ip.ts';
import type { StoredEndpoint } from '../../view.ts';
import type { CniContext } from '../context.ts';
import type { Call } from './call.io.ts';

/** Attempts when another writer changed the endpoint between our read and our write. */
const ENDPOINT_CONFLICTS_MAX = 5;

export type Assigned = Extract<AssignOutcome, { kind: 'assigned' }> & {
  readonly endpointJson: string;
};

interface Stable {
  readonly handleId: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Picks and stores; pushes the release on the undo list before anything is written. */
export async function assign(
  call: Call,
): Promise<Assigned | Exclude<AssignOutcome, { kind: 'assigned' }>> {
  const { context, identity, outside } = call;
  const wanted = wantedOf(call);
  let endpointJson = '';
  const alongside = (ips: readonly Ip[]): AlongsideWrites => {
    const stored = context.view.endpoint(identity.key);
    endpointJson = printResource(endpointOf(call, outside?.ips ?? ips, stored));
    return withNetworkProfile(call, {
      compares: [{ key: identity.key, revision: stored?.revision ?? 0n }],
      writes: [{ kind: 'put', key: identity.key, value: endpointJson }],
    });
  };
  call.undo.push('address', () => releaseOrRecord(call));
  for (let attempt = 1; ; attempt++) {
    const outcome = await context.allocator.assign({ ...wanted, alongside });
    if (outcome.kind === 'assigned') {
      const { revision } = outcome;
      if (revision > 0n) context.view.put({ key: identity.key, value: endpointJson, revision });
      return { ...outcome, ips: outside?.ips ?? outcome.ips, endpointJson };
    }
    if (outcome.kind !== 'conflict' || attempt === ENDPOINT_CONFLICTS_MAX) return outcome;
    await refreshEndpoint(context, identity.key);
  }
}

/** The endpoint as it is stored, or about to be. */
export function endpointOf(
  call: Call,
  ips: readonly Ip[],
  stored?: StoredEndpoint,
): WorkloadEndpoint {
  const { context, request, identity, owner, outside } = call;
  const { floatingIps, sourcePrefixes, qos } = owner.wishes;
  return buildEndpoint({
    node: context.node,
    request,
    identity,
    pod: owner.pod,
    mac: call.mac,
    ips,
    uid: stored?.endpoint.metadata.uid ?? randomUUID(),
    creationTimestamp: secondsOf(context.clock.date()),
    stored: stored?.endpoint,
    floatingIps,
    sourcePrefixes,
    qos,
    namesNetwork: outside !== undefined || stableFor(call) !== undefined,
  });
}

// As Kubernetes prints times: RFC 3339, UTC, without fractions.
const secondsOf = (date: Date): string => date.toISOString().replace(/\.\d+Z$/, 'Z');

// What the allocator is asked for; nothing, when the addresses come from elsewhere: then only the
// endpoint is stored.
function wantedOf(call: Call): Omit<AssignRequest, 'alongside'> {
  const { context, request, owner, outside } = call;
  const { wishes, namespace } = owner;
  const stable = stableFor(call);
  const timestamp = context.clock.date().toISOString();
  return {
    handleId: stable?.handleId ?? handleIdOf(request),
    attributes: { ...attributesOf(call, timestamp), ...stable?.attributes },
    count4: wishes.assign4 && !outside ? 1 : 0,
    count6: wishes.assign6 && !outside ? 1 : 0,
    pools4: wishes.pools4,
    pools6: wishes.pools6,
    ...(wishes.addresses.length > 0 ? { requested: wishes.addresses } : {}),
    ...(namespace
      ? { namespace: { name: namespace.metadata.name, labels: namespace.metadata.labels ?? {} } }
      : {}),
    ...(stable ? { keep: true } : {}),
  };
}

/**
 * For whom the address is kept: a KubeVirt VM, or an ordinal of a StatefulSet that asks for it.
 * Other pods do not come again under their names; an address would be kept for nobody.
 */
export function stableFor({ request, owner, outside }: Call): Stable | undefined {
  const { wishes, pod, machine } = owner;
  if (!pod || outside) return undefined;
  if (machine) {
    const handleId = machineHandleOf(request, machine.name);
    const uid = machine.uid === undefined ? {} : { 'vmi-uid': machine.uid };
    return handleId ? { handleId, attributes: { 'vmi-name': machine.name, ...uid } } : undefined;
  }
  if (!wishes.stableAddress) return undefined;
  const statefulset = statefulSetOf(pod.metadata.name, pod.metadata.labels);
  const handleId = stableHandleOf(request);
  return statefulset && handleId ? { handleId, attributes: { statefulset } } : undefined;
}

// Outside Kubernetes an endpoint's one profile is named after the network; it allows what comes
// from the same network and everything out, as Calico's plugin does.
function withNetworkProfile(call: Call, alongside: AlongsideWrites): AlongsideWrites {
  const { name, kubernetesPolicy } = call.request.config;
  if ((call.request.pod && kubernetesPolicy) || call.context.view.hasProfile(name))
    return alongside;
  const value = printResource({
    kind: 'Profile',
    apiVersion: API_VERSION,
    metadata: {
      name,
      uid: randomUUID(),
      creationTimestamp: secondsOf(call.context.clock.date()),
    },
    spec: {
      ingress: [{ action: 'Allow', source: { selector: `has(${name})` } }],
      egress: [{ action: 'Allow' }],
      labelsToApply: { [name]: '' },
    },
  });
  return {
    ...alongside,
    writes: [...alongside.writes, { kind: 'put', key: resourceKey('profiles', name), value }],
  };
}

function attributesOf({ context, request }: Call, timestamp: string): Record<string, string> {
  const owner = request.pod ? { namespace: request.pod.namespace, pod: request.pod.name } : {};
  return { node: context.node, timestamp, ...owner };
}

/** Reads the endpoint anew after a conflict. */
export async function refreshEndpoint(context: CniContext, key: string): Promise<void> {
  const current = await context.store.get(key);
  if (current) context.view.put(current);
  else context.view.remove(key, BigInt(Number.MAX_SAFE_INTEGER));
}

// What the datastore cannot take now is carried out later, even while Kubernetes still has the pod.
async function releaseOrRecord(call: Call): Promise<void> {
  const { context, identity, request } = call;
  try {
    await release(call);
  } catch (cause) {
    const { containerId } = request;
    const handleId = handleIdOf(request);
    context.journal.record({ handleId, containerId, endpointKey: identity.key });
    throw cause;
  }
}

async function release(call: Call): Promise<void> {
  const { context, identity, request } = call;
  const current = await context.store.get(identity.key);
  const ours = current?.value.includes(JSON.stringify(request.containerId)) ?? false;
  const alongside: AlongsideWrites | undefined =
    current && ours
      ? {
          compares: [{ key: identity.key, revision: current.revision }],
          writes: [{ kind: 'delete', key: identity.key }],
        }
      : undefined;
  const outcome = await context.allocator.release({
    handleId: handleIdOf(request),
    ...(alongside ? { alongside } : {}),
  });
  if (outcome.kind === 'unavailable') throw outcome.error;
  // The pod may have had its route for a moment.
  if (outcome.kind === 'released') for (const ip of outcome.ips) context.flows.add(ip);
}
