// Calico's resources as settings.
import type { Json } from '../../../base/json.ts';
import type { SchemaPart } from '../../../base/json-schema.ts';
import { isObject } from '../../resource.ts';
import { POLICY_KINDS } from '../lists.ts';
import { schemaPart } from '../schema.ts';
import type { Taking } from './calico.ts';
import type { Tree } from './report.ts';

const DEFAULT_POOL = 'default-ipv4-ippool';

const partAt = (...path: readonly string[]): SchemaPart =>
  path.reduce<SchemaPart>(
    (part, key) => (key === '[]' ? (part.items ?? {}) : (part.properties?.[key] ?? {})),
    schemaPart,
  );
const POOL_FIELDS = Object.keys(partAt('networking', 'pools', '[]').properties ?? {});
const PEER = partAt('networking', 'bgp', 'ipv4', 'peers', '[]', 'spec');
const PEER_FIELDS = Object.keys(PEER.properties ?? {});
const BGP_FIELDS = Object.keys(partAt('bgpConfiguration').properties ?? {});
/** Of Felix; its environment goes before what is stored, and has a default for one of them. */
const FELIX_FIELDS = Object.keys(partAt('felixConfiguration').properties ?? {}).filter(
  (field) => field !== 'defaultEndpointToHostAction',
);

/** Whether the object is one that this file knows. */
export function takeResource(taking: Taking): boolean {
  const take = KINDS[taking.kind];
  if (take) take(taking);
  return take !== undefined;
}

const KINDS: Readonly<Record<string, (taking: Taking) => void>> = {
  IPPool: takePool,
  BGPConfiguration: takeBgp,
  FelixConfiguration: takeFelix,
  BGPPeer: takePeer,
  ...Object.fromEntries(POLICY_KINDS.map((kind) => [kind, takePolicy])),
  ...leaving({
    ClusterInformation: 'calico-kit writes its own',
    IPAMConfig: 'it stays in the datastore; calico-kit ipam configure changes it',
    IPAMConfiguration: 'it stays in the datastore; calico-kit ipam configure changes it',
    IPAMBlock: 'addresses stay in the datastore',
    BlockAffinity: 'addresses stay in the datastore',
    IPAMHandle: 'addresses stay in the datastore',
    KubeControllersConfiguration: 'our controllers need no settings',
    Node: 'it stays in the datastore, with its AS number and its cluster of route reflectors',
    WorkloadEndpoint: 'pods stay in the datastore',
    Profile: 'kube-controllers makes it of namespaces and service accounts',
  }),
};

function leaving(reasons: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(reasons).map(([kind, why]) => [kind, (taking: Taking) => taking.leave('', why)]),
  );
}

function takePool(taking: Taking): void {
  const { name, spec } = taking;
  if (name !== DEFAULT_POOL || String(spec['cidr']).includes(':')) {
    takeFurtherPool(taking);
    return;
  }
  const settings = 'networking.settings.ippool';
  const fields: Readonly<Record<string, string>> = {
    cidr: 'networking.podSubnet',
    ipipMode: `${settings}.ipip.mode`,
    vxlanMode: `${settings}.vxlan.mode`,
    natOutgoing: `${settings}.nat_outgoing`,
    disabled: `${settings}.disabled`,
  };
  for (const [field, to] of Object.entries(fields)) {
    // What Calico leaves out is off.
    const value = spec[field] ?? (field.endsWith('Mode') ? 'Never' : false);
    taking.take(`spec.${field}`, to, value);
  }
  for (const [field, value] of Object.entries(spec)) {
    if (field in fields || USUAL[field] === String(value)) continue;
    const place = SELDOM[field];
    if (place) taking.take(`spec.${field}`, `${settings}.${place}`, value);
    else
      taking.leave(
        `spec.${field}`,
        `the pool of networking.podSubnet has no such setting; it stays as it is in a datastore that is kept`,
      );
  }
}

/** Fields of the pool that are told only where they are not as usual. */
const SELDOM: Readonly<Record<string, string>> = {
  blockSize: 'block_size',
  nodeSelector: 'node_selector',
  disableBGPExport: 'disable_bgp_export',
};

/** What a pool has without anybody's asking; newer versions of Calico write more of it. */
const USUAL: Readonly<Record<string, string>> = {
  blockSize: '26',
  nodeSelector: 'all()',
  disableBGPExport: 'false',
  allowedUses: 'Workload,Tunnel',
  assignmentMode: 'Automatic',
};

function takeFurtherPool(taking: Taking): void {
  const { name, spec } = taking;
  const fields = Object.entries(spec).filter(([field]) => POOL_FIELDS.includes(field));
  taking.add('', 'networking.pools', { name, ...Object.fromEntries(fields) });
  for (const field of Object.keys(spec).filter((one) => !POOL_FIELDS.includes(one)))
    taking.leave(`spec.${field}`, 'networking.pools has no such field');
}

function takeBgp(taking: Taking): void {
  const { name, spec } = taking;
  if (name !== 'default') {
    taking.leave('', 'it is of one node, and stays in the datastore');
    return;
  }
  const places: Readonly<Record<string, (value: Json) => readonly [string, Json]>> = {
    asNumber: (value) => ['networking.bgp.asnumber', Number(value)],
    nodeToNodeMeshEnabled: (value) => ['networking.settings.mesh', value ? 'on' : 'off'],
    listenPort: (value) => ['networking.bgp.ipv4.port.listen', value],
  };
  for (const [field, value] of Object.entries(spec)) {
    const place = places[field];
    if (place) taking.take(`spec.${field}`, ...place(value));
    else if (BGP_FIELDS.includes(field))
      taking.take(`spec.${field}`, `bgpConfiguration.${field}`, value);
    else taking.leave(`spec.${field}`, 'it stays in the datastore: the chart leaves it as it is');
  }
}

/** Fields of Felix that ask for what is not there. */
const UNSUPPORTED = /^(bpf|wireguard|xdp|windows|istio|nftables|flowLogs|goldmane)/i;
const FOLLOWS =
  /^(ipipEnabled|ipipMTU|vxlanEnabled|vxlanMTU|vxlanMTUV6|health(Enabled|Port|Host))$/;

function takeFelix(taking: Taking): void {
  if (taking.name !== 'default') {
    taking.leave('', 'it is of one node, and stays in the datastore');
    return;
  }
  for (const [field, value] of Object.entries(taking.spec)) {
    const from = `spec.${field}`;
    if (field === 'logSeverityScreen') {
      const level = { warning: 'warn', fatal: 'error' }[String(value).toLowerCase()];
      taking.take(from, 'conf.node.LOG_LEVEL', level ?? String(value).toLowerCase());
    } else if (UNSUPPORTED.test(field)) {
      const off = value === false || /^(disabled|off)$/i.test(String(value));
      taking.leave(from, off ? 'off, as here' : 'calico-kit has no such data plane');
    } else if (FOLLOWS.test(field)) taking.leave(from, 'it follows from the pools, or is fixed');
    else if (FELIX_FIELDS.includes(field)) taking.take(from, `felixConfiguration.${field}`, value);
    else if (value === null || typeof value === 'object')
      taking.leave(from, 'it stays in the datastore: the chart leaves it as it is');
    else taking.take(from, `conf.node.FELIX_${field.toUpperCase()}`, value);
  }
}

function takePeer(taking: Taking): void {
  const { name, spec, metadata } = taking;
  const fields = Object.entries(spec).filter(([field]) => PEER_FIELDS.includes(field));
  const family = /^\[|:.*:/.test(String(spec['peerIP'] ?? '')) ? 'ipv6' : 'ipv4';
  taking.add('', `networking.bgp.${family}.peers`, {
    apiVersion: 'projectcalico.org/v3',
    kind: 'BGPPeer',
    metadata: { name, ...textsOf(metadata, ['labels', 'annotations']) },
    spec: Object.fromEntries(fields),
  });
  for (const field of Object.keys(spec).filter((one) => !PEER_FIELDS.includes(one)))
    taking.leave(`spec.${field}`, 'a peer of the settings has no such field');
}

// What tools write about an object is none of the user's.
const BOOKKEEPING = /^(kubectl\.kubernetes\.io|projectcalico\.org)\//;

function textsOf(metadata: Tree, fields: readonly string[]): Tree {
  return Object.fromEntries(
    fields.flatMap((field): readonly [string, Json][] => {
      const texts = metadata[field];
      if (!isObject(texts ?? null)) return [];
      const own = Object.entries(texts as Tree).filter(([key]) => !BOOKKEEPING.test(key));
      return own.length > 0 ? [[field, Object.fromEntries(own)]] : [];
    }),
  );
}

/** In this order the groups are applied: what policies name comes before them. */
const GROUPS: Readonly<Record<string, readonly [group: string, priority: number]>> = {
  NetworkPolicy: ['policies', 1],
  GlobalNetworkPolicy: ['policies', 1],
  HostEndpoint: ['hosts', 2],
};
const BUILT_IN = ['default', 'adminnetworkpolicy', 'baselineadminnetworkpolicy', 'kube-admin'];

function takePolicy(taking: Taking): void {
  const { kind, name, namespace, metadata, spec } = taking;
  if (kind === 'Tier' && BUILT_IN.includes(name)) {
    taking.leave('', 'every installation has it');
    return;
  }
  if (/^(knp|kanp|kbanp)\./.test(name)) {
    taking.leave('', 'kube-controllers makes it of an object of Kubernetes');
    return;
  }
  const [group, priority] = GROUPS[kind] ?? ['base', 0];
  const own = { name, ...(namespace === undefined ? {} : { namespace }) };
  taking.take('', `networking.policy.${group}.priority`, priority);
  taking.add('', `networking.policy.${group}.rules`, {
    apiVersion: 'projectcalico.org/v3',
    kind,
    metadata: { ...own, ...textsOf(metadata, ['labels', 'annotations']) },
    spec,
  });
}
