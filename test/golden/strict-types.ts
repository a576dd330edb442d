// Calico's stored types as a strict reader knows them: every field by name and JSON type, nothing
// else. Go's decoder with DisallowUnknownFields would say the same. Only the kinds that we write.
import { parseJson } from '../../src/base/json.ts';
import { parseKey } from '../../src/model/keys.ts';
import {
  bool,
  either,
  int,
  list,
  mac,
  map,
  matching,
  net,
  orNull,
  seconds,
  string,
  struct,
  type Type,
  time,
  uint64,
  uuid,
  word,
} from './strict.ts';
import { nodeStatus } from './strict-node-status.ts';

const attribute = struct({
  handle_id: orNull(string),
  secondary: orNull(map(string)),
  alternateOwnerAttrs: orNull(map(string)),
  releasedAt: time,
});
const block = struct({
  'cidr!': net,
  affinity: orNull(matching('host:<node>', /^(host|virtual):.+/)),
  affinity_claim_time: orNull(time),
  'allocations!': list(orNull(int)),
  'unallocated!': list(int),
  'attributes!': list(attribute),
  'sequenceNumber!': uint64,
  'sequenceNumberForAllocation!': map(uint64),
  'deleted!': bool,
});
const affinity = struct({
  'state!': word('', 'pending', 'confirmed', 'pendingDeletion'),
  'deleted!': bool,
});
const handle = struct({ 'block!': map(int), 'deleted!': bool });
const ipamConfig = struct({
  strict_affinity: bool,
  auto_allocate_blocks: bool,
  maxBlocksPerHost: int,
  ipCooldownSeconds: int,
  kubeVirtVMAddressPersistence: word('Enabled', 'Disabled'),
});

const metadata = struct({
  'name!': string,
  namespace: string,
  'uid!': uuid,
  'creationTimestamp!': seconds,
  labels: map(string),
  annotations: map(string),
});
const port = either(int, string);
const entity = struct({
  nets: list(net),
  notNets: list(net),
  selector: string,
  notSelector: string,
  namespaceSelector: string,
  ports: list(port),
  notPorts: list(port),
  serviceAccounts: struct({ names: list(string), selector: string }),
});
const rules = list(
  struct({
    'action!': word('Allow', 'Deny', 'Log', 'Pass'),
    ipVersion: int,
    protocol: port,
    source: entity,
    destination: entity,
    metadata: struct({ annotations: map(string) }),
  }),
);

const SPECS: Readonly<Record<string, Type>> = {
  workloadendpoints: struct({
    'orchestrator!': word('k8s', 'cni'),
    workload: string,
    'node!': string,
    containerID: string,
    pod: string,
    'endpoint!': string,
    serviceAccountName: string,
    'ipNetworks!': list(net),
    ipNATs: list(struct({ 'internalIP!': string, 'externalIP!': string })),
    profiles: list(string),
    'interfaceName!': string,
    'mac!': mac,
    ports: list(
      struct({ name: string, 'protocol!': port, 'port!': int, hostPort: int, hostIP: string }),
    ),
    allowSpoofedSourcePrefixes: list(net),
    qosControls: struct({
      ...Object.fromEntries(
        [
          'Bandwidth',
          'Burst',
          'Peakrate',
          'Minburst',
          'PacketRate',
          'PacketBurst',
          'MaxConnections',
        ]
          .flatMap((limit) => [`ingress${limit}`, `egress${limit}`])
          .map((field) => [field, int]),
      ),
      dscp: either(int, string),
    }),
  }),
  nodes: struct({
    addresses: list(struct({ 'address!': string, type: string })),
    bgp: struct({
      asNumber: int,
      ipv4Address: net,
      ipv6Address: net,
      ipv4IPIPTunnelAddr: string,
      routeReflectorClusterID: string,
    }),
    ipv4VXLANTunnelAddr: string,
    ipv6VXLANTunnelAddr: string,
    vxlanTunnelMACAddr: mac,
    orchRefs: list(struct({ 'nodeName!': string, 'orchestrator!': string })),
  }),
  ippools: struct({
    'cidr!': net,
    vxlanMode: word('Never', 'Always', 'CrossSubnet'),
    ipipMode: word('Never', 'Always', 'CrossSubnet'),
    natOutgoing: bool,
    disabled: bool,
    disableBGPExport: bool,
    blockSize: int,
    nodeSelector: string,
    namespaceSelector: string,
    allowedUses: list(word('Workload', 'Tunnel', 'LoadBalancer')),
    assignmentMode: word('Automatic', 'Manual'),
  }),
  clusterinformations: struct({
    clusterGUID: matching('32 hexadecimal digits', /^[0-9a-f]{32}$/),
    clusterType: string,
    calicoVersion: string,
    datastoreReady: bool,
    variant: string,
  }),
  felixconfigurations: struct({
    ipipEnabled: bool,
    vxlanEnabled: bool,
    logSeverityScreen: string,
    reportingInterval: string,
    floatingIPs: word('Enabled', 'Disabled'),
    bpfConnectTimeLoadBalancing: string,
    defaultEndpointToHostAction: word('Return', 'Accept', 'Drop', 'RETURN', 'ACCEPT', 'DROP'),
  }),
  profiles: struct({ ingress: rules, egress: rules, labelsToApply: map(string) }),
  networkpolicies: struct({
    tier: string,
    order: int,
    selector: string,
    serviceAccountSelector: string,
    types: list(word('Ingress', 'Egress')),
    ingress: rules,
    egress: rules,
    performanceHints: list(string),
  }),
  tiers: struct({ order: int, defaultAction: word('Deny', 'Pass') }),
  bgpconfigurations: struct({
    logSeverityScreen: string,
    nodeToNodeMeshEnabled: bool,
    asNumber: int,
  }),
  caliconodestatuses: struct({
    'node!': string,
    'classes!': list(word('Agent', 'BGP', 'Routes')),
    'updatePeriodSeconds!': int,
  }),
};

const KINDS: Readonly<Record<string, string>> = {
  workloadendpoints: 'WorkloadEndpoint',
  nodes: 'Node',
  ippools: 'IPPool',
  clusterinformations: 'ClusterInformation',
  felixconfigurations: 'FelixConfiguration',
  profiles: 'Profile',
  networkpolicies: 'NetworkPolicy',
  tiers: 'Tier',
  bgpconfigurations: 'BGPConfiguration',
  caliconodestatuses: 'CalicoNodeStatus',
};

function resource(plural: string, name: string, namespace: string | undefined): Type {
  const spec = SPECS[plural];
  if (!spec) return (_value, at) => [`${at}: nobody of us writes ${plural}`];
  const envelope = struct({
    'kind!': word(KINDS[plural]!),
    'apiVersion!': word('projectcalico.org/v3'),
    'metadata!': metadata,
    'spec!': spec,
    status: plural === 'caliconodestatuses' ? nodeStatus : struct({}),
  });
  return (value, at) => {
    const named = (value as { metadata?: { name?: string; namespace?: string } }).metadata;
    return [
      ...envelope(value, at),
      ...(named?.name === name ? [] : [`${at}: its name is ${named?.name}`]),
      ...(named?.namespace === namespace ? [] : [`${at}: its namespace is ${named?.namespace}`]),
    ];
  };
}

function typeOf(path: string): Type | undefined {
  const key = parseKey(path);
  if (!key) return undefined;
  switch (key.kind) {
    case 'block':
      return block;
    case 'affinity':
      return affinity;
    case 'handle':
      return handle;
    case 'ipamConfig':
      return ipamConfig;
    case 'resource':
      return resource(key.plural, key.name, undefined);
    case 'namespaced':
      return resource(key.plural, key.name, key.namespace);
  }
}

/** What a strict reader of Calico's types would refuse; nothing when all is well. */
export function strictProblems(
  items: readonly { readonly key: string; readonly value: string }[],
): readonly string[] {
  return items.flatMap(({ key, value }) => {
    const type = typeOf(key);
    return type ? type(parseJson(value), key) : [`${key} is no key of Calico's`];
  });
}
