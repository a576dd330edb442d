// A kept address that comes from another node, or from the pod that its VM had before: the WorkloadEndpoint
// it had there goes with it, in the transaction that moves it. Two stored endpoints of one address would be
// two nodes that announce it.
import type { KeyValue, Store } from '../../datastore/store.ts';
import { namespacedKey, parseKey } from '../../model/keys.ts';
import { parseResource } from '../../model/resource.ts';
import {
  parseWorkloadEndpointName,
  type WorkloadEndpointSpec,
  workloadEndpointName,
} from '../../model/workload-endpoint.ts';
import type { Ip } from '../../net/ip.ts';

/** Who has kept addresses, by what is written beside them, and which they are. */
export interface Holding {
  readonly facts: Readonly<Record<string, string>>;
  readonly ips: readonly Ip[];
}

/**
 * The endpoints with any of the addresses that were stored for another pod, or on another node,
 * than the asker's; none, and nothing is asked, when it holds them itself. Whoever
 * takes the addresses meanwhile writes their block: compare that too, at a revision from before
 * this call. Throws OpError.
 */
export async function formerEndpoints(
  store: Store,
  asker: { readonly node: string; readonly pod: string | undefined },
  { facts, ips }: Holding,
): Promise<readonly KeyValue[]> {
  const { node: former, namespace, pod } = facts;
  if (!former || !namespace || !pod || ips.length === 0) return [];
  if (former === asker.node && pod === asker.pod) return [];
  const name = { node: former, orchestrator: 'k8s', workload: pod, endpoint: '' };
  const prefix = namespacedKey('workloadendpoints', namespace, workloadEndpointName(name));
  const { items } = await store.list(prefix);
  return items.filter((item) => isOfPod(item.key, pod) && hasAny(item.value, ips));
}

// `web` is a prefix of `web-0` in keys too.
function isOfPod(path: string, pod: string): boolean {
  const key = parseKey(path);
  const name = key?.kind === 'namespaced' ? parseWorkloadEndpointName(key.name) : undefined;
  return name?.workload === pod;
}

function hasAny(value: string, ips: readonly Ip[]): boolean {
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>('WorkloadEndpoint', value);
  const networks = parsed.ok ? (parsed.value.spec.ipNetworks ?? []) : [];
  return networks.some((network) => ips.some((ip) => network.split('/')[0] === ip));
}
