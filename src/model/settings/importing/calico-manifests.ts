// Calico's manifests, and the operator's Installation, as settings.
import type { Json } from '../../../base/json.ts';
import { isObject } from '../../resource.ts';
import type { Taking } from './calico.ts';
import type { Tree } from './report.ts';

/** Whether the object is one of Calico's manifests that this file knows. */
export function takeManifest(taking: Taking): boolean {
  const { kind, name, object } = taking;
  if (kind === 'ConfigMap' && name === 'calico-config') takeConfig(taking, object['data'] as Tree);
  else if (kind === 'DaemonSet' && name === 'calico-node') takeNode(taking);
  else if (kind === 'Deployment' && name === 'calico-kube-controllers')
    takeResources(taking, 'kube_controllers', 'calico-kube-controllers');
  else if (WITHOUT_MEANING.test(kind)) taking.leave('', 'the chart brings its own');
  else return false;
  return true;
}

const WITHOUT_MEANING =
  /^(ServiceAccount|ClusterRole|ClusterRoleBinding|Role|RoleBinding|CustomResourceDefinition|PodDisruptionBudget|Namespace|Service|Secret|ConfigMap|Deployment|DaemonSet|APIServer|TigeraStatus|Goldmane|Whisker)$/;

function takeConfig(taking: Taking, data: Tree = {}): void {
  for (const [key, value] of Object.entries(data)) {
    const from = `data.${key}`;
    if (key === 'etcd_endpoints' && value) {
      taking.take(from, 'etcd.enabled', false);
      taking.take(from, 'etcd.endpoints', value);
    } else if (/^etcd_(ca|cert|key)$/.test(key) && value)
      taking.leave(from, 'put the certificates into a Secret and name it in etcd.tls.secret');
    else taking.leave(from, LEFT_OF_CONFIG[key] ?? 'nothing of ours reads it');
  }
}

const LEFT_OF_CONFIG: Readonly<Record<string, string>> = {
  calico_backend: 'our speaker takes the place of BIRD',
  cni_network_config: 'the chart brings its own; portmap and bandwidth are in it',
  typha_service_name: 'there is no Typha: agents watch etcd',
  veth_mtu:
    'pods get what the network and the encapsulation leave; networking.mtu is that of the network',
};

interface ContainerShape {
  readonly name?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly resources?: Json;
}

const podOf = ({ spec }: Taking): Tree => {
  const template = spec['template'];
  const pod = isObject(template ?? null) ? (template as Tree)['spec'] : undefined;
  return isObject(pod ?? null) ? (pod as Tree) : {};
};

const containerOf = (taking: Taking, name: string): ContainerShape | undefined =>
  ((podOf(taking)['containers'] ?? []) as unknown as ContainerShape[]).find(
    (one) => one.name === name,
  );

function takeResources(taking: Taking, part: string, container: string): void {
  const { resources } = containerOf(taking, container) ?? {};
  if (resources) taking.take('resources', `pod.${part}.resources`, resources);
  else taking.leave('', 'the chart brings its own');
}

/** Variables that have a place besides conf.node. */
const VARIABLES: Readonly<Record<string, string>> = {
  CALICO_IPV4POOL_CIDR: 'networking.podSubnet',
  CALICO_IPV4POOL_IPIP: 'networking.settings.ippool.ipip.mode',
  CALICO_IPV4POOL_VXLAN: 'networking.settings.ippool.vxlan.mode',
  CALICO_NETWORKING_BACKEND: 'conf.node.CALICO_NETWORKING_BACKEND',
  CALICO_IPV4POOL_NAT_OUTGOING: 'networking.settings.ippool.nat_outgoing',
  AS: 'networking.bgp.asnumber',
};
const PASSED = /^(CLUSTER_TYPE|IP6?|IP6?_AUTODETECTION_METHOD|FELIX_[A-Z0-9]+)$/;
const NOT_PASSED = /^FELIX_(HEALTH|BPF|WIREGUARD|XDP|TYPHA|IPINIP|VXLAN)/;
const MODES: Readonly<Record<string, string>> = {
  always: 'Always',
  crosssubnet: 'CrossSubnet',
  'cross-subnet': 'CrossSubnet',
  never: 'Never',
  off: 'Never',
};

function takeNode(taking: Taking): void {
  takeResources(taking, 'calico_node', 'calico-node');
  for (const { name, value } of containerOf(taking, 'calico-node')?.env ?? []) {
    if (value === undefined) continue;
    const to = VARIABLES[name];
    if (/^CALICO_IPV4POOL_(IPIP|VXLAN)$/.test(name))
      taking.take(name, to!, MODES[value.toLowerCase()] ?? value);
    else if (name === 'AS') taking.take(name, to!, Number(value));
    else if (to) taking.take(name, to, value);
    else if (PASSED.test(name) && !NOT_PASSED.test(name))
      taking.take(name, `conf.node.${name}`, value);
    else taking.leave(name, 'the chart sets it, or nothing of ours reads it');
  }
}

const ENCAPSULATION: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  IPIP: { ipipMode: 'Always' },
  IPIPCrossSubnet: { ipipMode: 'CrossSubnet' },
  VXLAN: { vxlanMode: 'Always' },
  VXLANCrossSubnet: { vxlanMode: 'CrossSubnet' },
};

/** Whether the object is the operator's Installation. */
export function takeInstallation(taking: Taking): boolean {
  if (taking.kind !== 'Installation') return false;
  const { calicoNetwork, ...rest } = taking.spec;
  for (const field of Object.keys(rest)) taking.leave(`spec.${field}`, 'it is for the operator');
  for (const [field, value] of Object.entries((calicoNetwork ?? {}) as Tree))
    takeNetwork(taking, `spec.calicoNetwork.${field}`, field, value);
  return true;
}

function takeNetwork(taking: Taking, from: string, field: string, value: Json): void {
  if (field === 'ipPools') takeOperatorPools(taking, value as Tree[]);
  else if (field === 'mtu') taking.take(from, 'networking.mtu', value);
  else if (field === 'nodeAddressAutodetectionV4')
    taking.take(from, 'conf.node.IP_AUTODETECTION_METHOD', methodOf(value as Tree));
  else if (field === 'nodeAddressAutodetectionV6') {
    taking.take(from, 'conf.node.IP6', 'autodetect');
    taking.take(from, 'conf.node.IP6_AUTODETECTION_METHOD', methodOf(value as Tree));
  } else if (field === 'bgp' && value === 'Disabled')
    taking.take(from, 'networking.settings.mesh', 'off');
  else taking.leave(from, 'nothing of ours is like it');
}

function methodOf({ firstFound, interface: name, canReach }: Tree): string {
  if (name) return `interface=${String(name)}`;
  return firstFound || !canReach ? 'first-found' : `can-reach=${String(canReach)}`;
}

const modesOf = ({ encapsulation }: Tree) => ENCAPSULATION[String(encapsulation)] ?? {};

// The first that networking.podSubnet can be is that; the others stand beside it.
function takeOperatorPools(taking: Taking, pools: readonly Tree[]): void {
  const main = pools.find((pool) => !String(pool['cidr']).includes(':'));
  for (const pool of pools) {
    const { cidr = '', natOutgoing, name } = pool;
    const from = `spec.calicoNetwork.ipPools ${String(cidr)}`;
    const nat = natOutgoing !== 'Disabled';
    if (pool === main) {
      taking.take(from, 'networking.podSubnet', cidr);
      const mode = modesOf(pool)['ipipMode'] ?? 'Never';
      taking.take(from, 'networking.settings.ippool.ipip.mode', mode);
      const vxlan = modesOf(pool)['vxlanMode'] ?? 'Never';
      taking.take(from, 'networking.settings.ippool.vxlan.mode', vxlan);
      taking.take(from, 'networking.settings.ippool.nat_outgoing', nat);
      continue;
    }
    const own = { ...modesOf(pool), natOutgoing: nat, ...fieldsOf(pool) };
    const fallback = `pool-${String(cidr).replaceAll(/[^0-9a-f]+/g, '-')}`;
    taking.add(from, 'networking.pools', { name: name ?? fallback, cidr, ...own });
  }
}

const fieldsOf = ({ blockSize, nodeSelector }: Tree): Tree => ({
  ...(blockSize === undefined ? {} : { blockSize }),
  ...(nodeSelector === undefined ? {} : { nodeSelector }),
});
