// What is stored in the datastore for the benchmark: pods here and elsewhere, policies, and groups that
// policies speak of. A world is a map from key to value.
import { namespacedKey, RESOURCES, resourceKey } from '../../../src/model/keys.ts';
import { workloadEndpointName } from '../../../src/model/workload-endpoint.ts';

export const NODE = 'bench';
const API = 'projectcalico.org/v3';
/** Each pod is in one group of each of these kinds. */
export const KINDS = 25;
/** Groups of a kind. */
const GROUPS = 40;

/** As many as a node has. */
export const LOCAL_PODS = 100;

export type World = Map<string, string>;

export interface StoredPod {
  readonly node: string;
  readonly name: string;
  readonly address: string;
  readonly interfaceName?: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function podKey({ node, name }: Pick<StoredPod, 'node' | 'name'>): string {
  const id = { node, orchestrator: 'k8s', workload: name, endpoint: 'eth0' };
  return namespacedKey('workloadendpoints', 'default', workloadEndpointName(id));
}

export const podValue = (pod: StoredPod): string =>
  JSON.stringify({
    kind: 'WorkloadEndpoint',
    apiVersion: API,
    metadata: {
      name: podKey(pod).slice(podKey(pod).lastIndexOf('/') + 1),
      namespace: 'default',
      labels: { ...pod.labels, 'projectcalico.org/namespace': 'default' },
    },
    spec: {
      orchestrator: 'k8s',
      node: pod.node,
      pod: pod.name,
      endpoint: 'eth0',
      interfaceName: pod.interfaceName ?? `cali${pod.name}`,
      ipNetworks: [`${pod.address}/32`],
      profiles: ['kns.default'],
    },
  });

export const policyKey = (name: string): string =>
  namespacedKey('networkpolicies', 'default', `default.${name}`);

export const policyValue = (
  name: string,
  selector: string,
  ingress: readonly object[],
  order = 1000,
): string =>
  JSON.stringify({
    kind: 'NetworkPolicy',
    apiVersion: API,
    metadata: { name: `default.${name}`, namespace: 'default' },
    spec: { tier: 'default', order, selector, types: ['Ingress'], ingress },
  });

export const allowFrom = (selector: string, port?: number): object => ({
  action: 'Allow',
  ...(port === undefined ? {} : { protocol: 'TCP' }),
  source: { selector },
  ...(port === undefined ? {} : { destination: { ports: [port] } }),
});

const group = (kind: number, number: number): string => `g${kind} == 'v${number}'`;

const groupsOf = (pod: number, kinds: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: kinds }, (_, kind) => [`g${kind}`, `v${(pod * (kind + 1)) % GROUPS}`]),
  );

/** The profile of a namespace and a pool: what every cluster has. */
export function basics(): World {
  const rules = [{ action: 'Allow' }];
  const resource = (kind: string, name: string, spec: object): string =>
    JSON.stringify({ kind, apiVersion: API, metadata: { name }, spec });
  return new Map([
    [
      resourceKey('profiles', 'kns.default'),
      resource('Profile', 'kns.default', { ingress: rules, egress: rules }),
    ],
    [
      resourceKey('ippools', 'pool'),
      resource('IPPool', 'pool', { cidr: '10.0.0.0/8', ipipMode: 'Never', natOutgoing: true }),
    ],
  ]);
}

/** Pods here without a link: their rules cost the same. */
export function localPods(count: number): World {
  const pods = Array.from({ length: count }, (_, n) => ({
    node: NODE,
    name: `l${n}`,
    address: `10.1.${n >> 8}.${n & 255}`,
    labels: { app: `a${n % 100}` },
  }));
  return new Map(pods.map((pod) => [podKey(pod), podValue(pod)]));
}

/** Pods of other nodes; `kinds` groups each. */
export function remotePods(count: number, kinds = KINDS): World {
  const pods = Array.from({ length: count }, (_, n) => ({
    node: `other${n % 100}`,
    name: `r${n}`,
    address: `10.2.${n >> 8}.${n & 255}`,
    labels: groupsOf(n, kinds),
  }));
  return new Map(pods.map((pod) => [podKey(pod), podValue(pod)]));
}

/** Each policy lets one group in to the pods of one application, by as many rules. */
export function policies(count: number, { rules = 1, kinds = KINDS } = {}): World {
  const made: World = new Map();
  for (let n = 0; n < count; n++) {
    const from = group(n % kinds, Math.floor(n / kinds) % GROUPS);
    const ingress = Array.from({ length: rules }, (_, r) => allowFrom(from, 1000 + r));
    made.set(policyKey(`p${n}`), policyValue(`p${n}`, `app == 'a${n % 100}'`, ingress));
  }
  return made;
}

export const together = (...worlds: readonly World[]): World =>
  new Map(worlds.flatMap((world) => [...world]));

export const EVERYTHING = RESOURCES;
