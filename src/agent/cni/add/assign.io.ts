// The datastore half of ADD: address, handle and WorkloadEndpoint in one transaction, and the way
// back when a later step fails.
import { randomUUID } from 'node:crypto';
import type { UndoList } from '../../../base/undo.ts';
import { buildEndpoint, type EndpointIdentity } from '../../../cni/endpoint.ts';
import { type CniRequest, handleIdOf } from '../../../cni/request.ts';
import type { AlongsideWrites, AssignOutcome } from '../../../ipam/allocator.io.ts';
import type { Pod } from '../../../kubernetes/api.ts';
import { resourceKey } from '../../../model/keys.ts';
import { API_VERSION, printResource } from '../../../model/resource.ts';
import type { Ip } from '../../../net/ip.ts';
import type { Mac } from '../../../net/mac.ts';
import type { CniContext } from '../context.ts';

/** Attempts when another writer changed the endpoint between our read and our write. */
const ENDPOINT_CONFLICTS_MAX = 5;

/** One ADD on its way. */
export interface Call {
  readonly context: CniContext;
  readonly request: CniRequest;
  readonly identity: EndpointIdentity;
  readonly pod: Pod | undefined;
  readonly mac: Mac;
  readonly undo: UndoList;
}

export type Assigned = Extract<AssignOutcome, { kind: 'assigned' }> & {
  readonly endpointJson: string;
};

/** Picks and stores; pushes the release on the undo list before anything is written. */
export async function assign(
  call: Call,
): Promise<Assigned | Exclude<AssignOutcome, { kind: 'assigned' }>> {
  const { context, request, identity, pod } = call;
  const handleId = handleIdOf(request);
  const timestamp = context.clock.date().toISOString();
  const requested = request.requestedIp;
  let endpointJson = '';
  const alongside = (ips: readonly Ip[]): AlongsideWrites => {
    const stored = context.view.endpoint(identity.key);
    const endpoint = buildEndpoint({
      node: context.node,
      request,
      identity,
      pod,
      mac: call.mac,
      ips,
      uid: stored?.endpoint.metadata.uid ?? randomUUID(),
      creationTimestamp: timestamp.replace(/\.\d+Z$/, 'Z'),
    });
    endpointJson = printResource(endpoint);
    return withNetworkProfile(call, {
      compares: [{ key: identity.key, revision: stored?.revision ?? 0n }],
      writes: [{ kind: 'put', key: identity.key, value: endpointJson }],
    });
  };
  call.undo.push('address', () => release(call));
  for (let attempt = 1; ; attempt++) {
    const outcome = await context.allocator.assign({
      handleId,
      attributes: attributesOf(call, timestamp),
      count4: request.config.assignIpv4 ? 1 : 0,
      count6: request.config.assignIpv6 ? 1 : 0,
      pools4: request.config.ipv4Pools,
      pools6: request.config.ipv6Pools,
      ...(requested ? { requested: [requested] } : {}),
      alongside,
    });
    if (outcome.kind === 'assigned') {
      const { revision } = outcome;
      if (revision > 0n) context.view.put({ key: identity.key, value: endpointJson, revision });
      return { ...outcome, endpointJson };
    }
    if (outcome.kind !== 'conflict' || attempt === ENDPOINT_CONFLICTS_MAX) return outcome;
    await refreshEndpoint(context, identity.key);
  }
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
      creationTimestamp: call.context.clock.date().toISOString(),
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
}
