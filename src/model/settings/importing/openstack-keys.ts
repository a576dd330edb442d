// What becomes of each key of openstack-helm's calico chart. Its own names are kept where our
// settings have the same thing.
import type { Json } from '../../../base/json.ts';
import { isObject } from '../../resource.ts';
import { isOn } from '../settings.ts';

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

const notEmpty =
  (words: string) =>
  (given: Json): Converted =>
    Array.isArray(given) && given.length === 0 ? reason('it is empty') : reason(words);

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
  reason(
    given === 'http'
      ? 'http is what we speak'
      : 'calico-etcd is reached without TLS; set etcd.endpoints for an etcd with TLS',
  );

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
    [`${from}.additional_cidrs`]: {
      to: from,
      convert: notEmpty('there is no export list beyond pools; make a pool of each prefix'),
    },
  };
};

const same = (...paths: readonly string[]): Readonly<Record<string, Destination>> =>
  Object.fromEntries(paths.map((path) => [path, { to: path }]));

const pods = (theirs: string, ours: string): Readonly<Record<string, Destination>> => ({
  [`pod.resources.${theirs}`]: { to: `pod.${ours}.resources` },
});

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
  'conf.node.CALICO_IPV4POOL_BLOCKSIZE': {
    to: 'conf.node',
    convert: (given) =>
      reason(
        Number(given) === 26
          ? '26 is ours as well'
          : 'the pool of networking.podSubnet has blocks of 26; use networking.pools with a blockSize',
      ),
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
  'endpoints.etcd.scheme.default': { to: 'etcd', convert: scheme },
  'monitoring.prometheus.calico_node.scrape': { to: 'monitoring.scrape' },
  'monitoring.prometheus.calico_node.port': { to: 'conf.node.FELIX_PROMETHEUSMETRICSPORT' },
  ...pods('calico_node', 'calico_node'),
  ...pods('calico_kube_controllers', 'kube_controllers'),
  ...pods('etcd', 'etcd'),
};

const OWN_IMAGES =
  'our images are others; set images.registry, or images.node, images.kube_controllers, images.etcd';
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
  'conf.etcd': 'calico-etcd is reached without TLS',
  'conf.cni_network_config': 'the configuration of the plugin is made by the agent',
  'conf.controllers': 'the controllers need no settings',
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
  'manifests.secret_certificates': 'calico-etcd is reached without TLS',
  'manifests.secret_registry': 'set images.pull_secrets to name Secrets of yours',
  'manifests.secret_etcd': 'calico-etcd is reached without TLS',
  labels: 'nodes are chosen by kubernetes.io/os and by the role of the control plane',
  release_group: 'the chart has one release',
  helm3_hook: 'there are no hooks that this would switch',
  'networking.bgp.ipv4.no_mesh': 'one port serves with and without the mesh',
  'networking.bgp.ipv6.no_mesh': 'one port serves with and without the mesh',
};
