// Policies as a user's own tests ask them, without a cluster: described pods, policies as written,
// and the evaluator that stands behind `calico-kit trace`. Exported by the npm package.
import { namespacedKey, resourceKey } from '../model/keys.ts';
import { API_VERSION } from '../model/resource.ts';
import type { Verdict } from './explain/evaluate.ts';
import { modelOf, type PolicyModel } from './explain/model.ts';
import { parsePort } from './explain/ports.ts';
import { partyOf, type Trace, trace as traceParties } from './explain/trace.ts';
import { type Manifest, storedOf } from './read/manifest.ts';
import { withStaged } from './read/staged.ts';

type Labels = Readonly<Record<string, string>>;

export interface DescribedPod {
  readonly labels?: Labels;
  /** Absent: `default`. */
  readonly serviceAccount?: string;
  /** IPv4, IPv6 or both; absent: one that nobody else has. */
  readonly addresses?: readonly string[];
  /** Named ports. */
  readonly ports?: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
  }[];
}

export interface ClusterDescription {
  /** By `namespace/name`. */
  readonly pods: Readonly<Record<string, DescribedPod>>;
  /** Labels by namespace; those that only pods name have none. */
  readonly namespaces?: Readonly<Record<string, Labels>>;
  /** Labels by `namespace/name`. */
  readonly serviceAccounts?: Readonly<Record<string, Labels>>;
  /** Policies, tiers, network sets, EndpointSlices: objects as their YAML parses. */
  readonly resources: readonly object[];
  /** As if the staged policies among them were enforced. */
  readonly staged?: boolean;
}

/** Throws Error when a resource cannot be read: a test must not pass on a policy that says nothing. */
export function cluster(description: ClusterDescription): PolicyModel {
  const items = new Map<string, string>();
  for (const [i, resource] of description.resources.entries()) {
    const stored = storedOf(resource as Manifest);
    if (!stored.ok) throw new Error(`resource ${i + 1}: ${stored.error}`);
    items.set(stored.value.key, stored.value.value);
  }
  for (const [key, value] of surroundings(description)) items.set(key, value);
  const model = modelOf((description.staged && withStaged(items)) || items);
  for (const key of model.world.policies.keys()) {
    const problem = model.problemOf(key);
    if (problem) throw new Error(problem);
  }
  return model;
}

/** `allow` or `deny`: ends are `namespace/pod` or addresses; `port` is `80`, `53/udp`, `icmp`. */
export const reach = (
  model: PolicyModel,
  from: string,
  to: string,
  port: string | number,
): Verdict => trace(model, from, to, port).verdict;

/** The verdict, and which policies and rules were asked. Throws Error for ends that do not exist. */
export function trace(model: PolicyModel, from: string, to: string, port: string | number): Trace {
  const ports = parsePort(String(port));
  if (!ports.ok) throw new Error(ports.error);
  const ends = [from, to].map((text) => partyOf(model, text));
  const [source, destination] = ends.map((end) => {
    if (!end.ok) throw new Error(end.error);
    return end.value;
  });
  return traceParties(model, source!, destination!, ports.value);
}

const OPEN = [{ action: 'Allow' }];

function surroundings({ pods, namespaces = {}, serviceAccounts = {} }: ClusterDescription) {
  const items = new Map<string, string>();
  const put = (key: string, kind: string, metadata: object, spec: object): void =>
    void items.set(key, JSON.stringify({ kind, apiVersion: API_VERSION, metadata, spec }));
  const profile = (name: string, prefix: string, own: string, labels: Labels, rules: object) =>
    put(
      resourceKey('profiles', name),
      'Profile',
      { name },
      {
        ...rules,
        labelsToApply: {
          ...Object.fromEntries(Object.entries(labels).map(([k, v]) => [prefix + k, v])),
          [`${prefix}projectcalico.org/name`]: own,
        },
      },
    );
  for (const [i, [id, pod]] of Object.entries(pods).entries()) {
    const [namespace = '', name = ''] = id.split('/');
    if (!namespace || !name) throw new Error(`pod '${id}': name it namespace/pod`);
    const account = pod.serviceAccount ?? 'default';
    const open = { ingress: OPEN, egress: OPEN };
    profile(`kns.${namespace}`, 'pcns.', namespace, namespaces[namespace] ?? {}, open);
    const labels = serviceAccounts[`${namespace}/${account}`] ?? {};
    profile(`ksa.${namespace}.${account}`, 'pcsa.', account, labels, {});
    const addresses = pod.addresses ?? [`100.64.${i >> 8}.${i & 255}`];
    const endpoint = `node-k8s-${name.replaceAll('-', '--')}-eth0`;
    const metadata = {
      name: endpoint,
      namespace,
      labels: {
        ...pod.labels,
        'projectcalico.org/namespace': namespace,
        'projectcalico.org/orchestrator': 'k8s',
        'projectcalico.org/serviceaccount': account,
      },
    };
    put(namespacedKey('workloadendpoints', namespace, endpoint), 'WorkloadEndpoint', metadata, {
      node: 'node',
      interfaceName: `cali${i}`,
      ipNetworks: addresses.map((one) => `${one}/${one.includes(':') ? 128 : 32}`),
      profiles: [`kns.${namespace}`, `ksa.${namespace}.${account}`],
      ports: (pod.ports ?? []).map((port) => ({ protocol: 'TCP', ...port })),
    });
  }
  return items;
}
