// What becomes of each key of openstack-helm's calico chart. Its own names are kept where our
// settings have the same thing.
import type { Json } from '../../../base/json.ts';
import { isObject } from '../../resource.ts';
import { isOn } from '../settings.ts';
import { CNI_PLACEHOLDERS } from './placeholders.ts';

export type Converted = { readonly value: Json } | { readonly reason: string };

export interface Destination {
  readonly to: string;
  readonly convert?: (value: Json) => Converted;
}

const value = (converted: Json): Converted => ({ value: converted });
const reason = (words: string): Converted => ({ reason: words });

const integer = (given: Json): Converted => {
  const number = Number(given);
  return Number.isInteger(number) ? value(number) : reason(`${JSON.stringify(given)} is no number`);
};

const MODES: Readonly<Record<string, string>> = {
  always: 'Always',
  'cross-subnet': 'CrossSubnet',
  crosssubnet: 'CrossSubnet',
  off: 'Never',
  never: 'Never',
};

const mode = (given: Json): Converted => {
  const known = MODES[String(given).toLowerCase()];
  return known ? value(known) : reason(`${JSON.stringify(given)} is no IP-in-IP mode`);
};

/** `enabled` of the newer charts: on means Always. */
const enabledMode = (given: Json): Converted =>
  isOn(given as boolean | string)
    ? reason('on is the default; conf.node.CALICO_IPV4POOL_IPIP says how')
    : value('Never');

// v2.6: {apiVersion: v1, kind: bgpPeer, metadata: {peerIP, scope, node}, spec: {asNumber}}.
function peer(given: Json): Json {
  if (!isObject(given) || given['kind'] !== 'bgpPeer') return given;
  const metadata = (given['metadata'] ?? {}) as Record<string, Json>;
  const peerIP = String(metadata['peerIP'] ?? '');
  const node = metadata['node'];
  const spec = (given['spec'] ?? {}) as Record<string, Json>;
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'BGPPeer',
    metadata: { name: `${node ? 'node' : 'global'}-${peerIP.replace(/[.:]+/g, '-')}` },
    spec: {
      ...(node === undefined ? {} : { node }),
      peerIP,
      asNumber: Number(spec['asNumber']),
    },
  };
}

const peers = (given: Json): Converted =>
  Array.isArray(given) ? value(given.map(peer)) : reason('it is no list');

const list = (given: Json): Converted => {
  if (!Array.isArray(given)) return reason('it is no list');
  return given.length === 0 ? reason('it is empty') : value(given);
};

/** Ours are named after those of 2018 too; what writes the settings always runs. */
const controllers = (given: Json): Converted =>
  value(
    String(given)
      .split(',')
      .map((name) => name.trim())
      .join(','),
  );

const budget = (given: Json): Converted =>
  Number(given) === 0 || Number(given) === 1
    ? value(Number(given))
    : reason('kube-controllers is one pod: 0 or 1');

/** Words that are replaced on each node. */
function cniConfig(given: Json): Converted {
  if (!isObject(given)) return reason('it is no map');
  const words = JSON.stringify(given).match(/__[A-Z][A-Z0-9_]*?__/g) ?? [];
  const unknown = words.find((word) => !CNI_PLACEHOLDERS.includes(word.slice(2, -2)));
  return unknown === undefined
    ? value(given)
    : reason(`${unknown} is no word that is replaced on a node`);
}

const LEVELS: Readonly<Record<string, string>> = {
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  error: 'error',
  fatal: 'error',
};

const level = (given: Json): Converted => {
  const known = LEVELS[String(given).toLowerCase()];
  return known ? value(known) : reason(`${JSON.stringify(given)} is no level of the log`);
};

const scheme = (given: Json): Converted =>
  given === 'https' ? value('generate') : reason('without TLS, which is the default');

const family = (name: 'ipv4' | 'ipv6'): Readonly<Record<string, Destination>> => {
  const from = `networking.bgp.${name}`;
  return {
    [`${from}.peers`]: { to: `${from}.peers`, convert: peers },
    [`${from}.community_cidr_ref`]: { to: `${from}.community_cidr_ref` },
    [`${from}.port.listen`]: { to: `${from}.port.listen`, convert: integer },
    [`${from}.port.neighbor`]: { to: `${from}.port.neighbor`, convert: integer },
    [`${from}.mesh.port.listen`]: { to: `${from}.port.listen`, convert: integer },
    [`${from}.mesh.port.neighbor`]: { to: `${from}.port.neighbor`, convert: integer },
    [`${from}.no_mesh.port.listen`]: { to: `${from}.port.listen`, convert: integer },
    [`${from}.no_mesh.port.neighbor`]: { to: `${from}.port.neighbor`, convert: integer },
    [`${from}.additional_cidrs`]: { to: `${from}.additional_cidrs`, convert: list },
  };
};

const same = (...paths: readonly string[]): Readonly<Record<string, Destination>> =>
  Object.fromEntries(paths.map((path) => [path, { to: path }]));

const pods = (theirs: string, ours: string): Readonly<Record<string, Destination>> => ({
  [`pod.resources.${theirs}`]: { to: `pod.${ours}.resources` },
});

const BLOCK_SIZE = 'networking.settings.ippool.block_size';

/** Keys that have a place in ours. Order matters: the later one wins. */
export const TAKEN: Readonly<Record<string, Destination>> = {
  ...same(
    'networking.podSubnet',
    'networking.settings.mesh',
    'networking.settings.ippool.nat_outgoing',
    'networking.settings.ippool.disabled',
    'networking.policy',
    'images.pull_policy',
    'conf.node.CLUSTER_TYPE',
    'conf.node.IP',
    'conf.node.IP_AUTODETECTION_METHOD',
    'conf.node.IP6',
    'conf.node.IP6_AUTODETECTION_METHOD',
    'manifests.configmap_etc',
    'manifests.daemonset_calico_etcd',
    'manifests.daemonset_calico_node',
    'manifests.deployment_calico_kube_controllers',
    'manifests.service_calico_etcd',
  ),
  'networking.mtu': { to: 'networking.mtu', convert: integer },
  'networking.bgp.asnumber': { to: 'networking.bgp.asnumber', convert: integer },
  'networking.settings.ippool.ipip.enabled': {
    to: 'networking.settings.ippool.ipip.mode',
    convert: enabledMode,
  },
  'networking.settings.ippool.ipip.mode': {
    to: 'networking.settings.ippool.ipip.mode',
    convert: mode,
  },
  ...family('ipv4'),
  ...family('ipv6'),
  'conf.node.CALICO_IPV4POOL_IPIP': { to: 'networking.settings.ippool.ipip.mode', convert: mode },
  'conf.node.CALICO_IPV4POOL_CIDR': { to: 'networking.podSubnet' },
  'conf.node.CALICO_STARTUP_LOGLEVEL': { to: 'conf.node.LOG_LEVEL', convert: level },
  'conf.node.IPV6_AUTODETECTION_METHOD': { to: 'conf.node.IP6_AUTODETECTION_METHOD' },
  'conf.node.CALICO_IPV4POOL_BLOCKSIZE': { to: BLOCK_SIZE, convert: integer },
  'conf.node.CALICO_IPV4POOL_BLOCK_SIZE': { to: BLOCK_SIZE, convert: integer },
  'conf.controllers.ENABLED_CONTROLLERS': {
    to: 'conf.controllers.ENABLED_CONTROLLERS',
    convert: controllers,
  },
  'conf.cni_network_config': { to: 'conf.cni_network_config', convert: cniConfig },
  'pod.lifecycle.disruption_budget.controllers.min_available': {
    to: 'pod.kube_controllers.min_available',
    convert: budget,
  },
  'conf.node.CALICO_NETWORKING_BACKEND': {
    to: 'conf.node.CALICO_NETWORKING_BACKEND',
    convert: (given) =>
      ['bird', 'vxlan', 'none'].includes(String(given))
        ? value(given)
        : reason(`${JSON.stringify(given)} is none of bird, vxlan and none`),
  },
  'endpoints.etcd.hosts.default': { to: 'etcd.clusterIP' },
  'endpoints.etcd.port.client.default': { to: 'etcd.port', convert: integer },
  'endpoints.etcd.port.peer.default': { to: 'etcd.peerPort', convert: integer },
  'endpoints.etcd.scheme.default': { to: 'etcd.tls.mode', convert: scheme },
  'monitoring.prometheus.calico_node.scrape': { to: 'monitoring.scrape' },
  'monitoring.prometheus.calico_node.port': { to: 'conf.node.FELIX_PROMETHEUSMETRICSPORT' },
  ...pods('calico_node', 'calico_node'),
  ...pods('calico_kube_controllers', 'kube_controllers'),
  ...pods('etcd', 'etcd'),
};

const OWN_IMAGES =
  'our images are others; set images.registry, or images.node, images.kube_controllers, images.etcd';
const CERTIFICATES =
  'put certificates of your own into a Secret and name it in etcd.tls.secret; etcd.tls.mode: generate makes them';
const NO_JOB = 'there is no such job: the controllers write the settings';

/** Keys that are known and mean nothing here, with all below them. */
export const IGNORED: Readonly<Record<string, string>> = {
  'images.tags': OWN_IMAGES,
  'images.local_registry': OWN_IMAGES,
  'pod.security_context': 'the containers have the least rights that they need',
  'pod.resources': 'only calico_node, calico_kube_controllers and etcd have resources here',
  'pod.lifecycle':
    'set pod.calico_node.max_unavailable, pod.kube_controllers.min_available; kube-controllers is one pod',
  'pod.mandatory_access_control': 'set pod.<part>.app_armor',
  'pod.affinity': 'set pod.calico_node.affinity, pod.kube_controllers.affinity',
  'pod.tolerations': 'set pod.<part>.tolerations; by default every taint is tolerated',
  dependencies: 'pods wait for what they need by themselves',
  secrets: 'set images.pull_secrets to name Secrets of yours',
  'endpoints.cluster_domain_suffix': 'no name of the cluster is looked up',
  'endpoints.local_image_registry': OWN_IMAGES,
  'endpoints.oci_image_registry': 'set images.pull_secrets to name Secrets of yours',
  'endpoints.etcd': 'set etcd.endpoints, or keep calico-etcd',
  'endpoints.etcd.auth': CERTIFICATES,
  'conf.etcd': CERTIFICATES,
  'conf.controllers.K8S_API': 'the API server is found as every pod finds it',
  'conf.controllers.CONFIGURE_ETC_HOSTS': 'no name is looked up',
  'conf.controllers': 'set conf.controllers, whose names are ours',
  'conf.node.CALICO_DISABLE_FILE_LOGGING': 'the log goes to standard error, as JSON lines',
  'conf.node.WAIT_FOR_DATASTORE': 'it always waits',
  'conf.node.NO_DEFAULT_POOLS': 'set networking.settings.ippool.disabled',
  'conf.bird': 'our speaker takes the place of BIRD',
  'monitoring.prometheus': 'set monitoring.scrape or monitoring.monitor',
  'manifests.configmap_bin': 'there are no scripts',
  'manifests.configmap_bird': 'our speaker takes the place of BIRD',
  'manifests.daemonset_calico_node_calicoctl': 'calico-kit is in the node image',
  'manifests.job_image_repo_sync': 'there is no such job',
  'manifests.job_calico_settings': NO_JOB,
  'manifests.job_bootstrap': NO_JOB,
  'manifests.secret_certificates': CERTIFICATES,
  'manifests.secret_registry': 'set images.pull_secrets to name Secrets of yours',
  'manifests.secret_etcd': CERTIFICATES,
  labels: 'nodes are chosen by kubernetes.io/os and by the role of the control plane',
  release_group: 'the chart has one release',
  helm3_hook: 'there are no hooks that this would switch',
  'networking.bgp.ipv4.no_mesh': 'one port serves with and without the mesh',
  'networking.bgp.ipv6.no_mesh': 'one port serves with and without the mesh',
};
