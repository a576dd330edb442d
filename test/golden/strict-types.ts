// Calico's stored types as a strict reader knows them: every field by name and JSON type, nothing
// else. Go's decoder with DisallowUnknownFields would say the same. Only the kinds that we write.
import { type Json, parseJson } from '../../src/base/json.ts';
import { parseKey } from '../../src/model/keys.ts';

/** What is wrong with a value at a path, in sentences. */
type Type = (value: Json, at: string) => readonly string[];

const no = (value: Json, at: string, what: string): readonly string[] => [
  `${at} is ${typeof value === 'string' ? JSON.stringify(value) : String(value)}, not ${what}`,
];
const matching =
  (what: string, pattern: RegExp): Type =>
  (value, at) =>
    typeof value === 'string' && pattern.test(value) ? [] : no(value, at, what);

const string = matching('a string', /^/);
const bool: Type = (value, at) => (typeof value === 'boolean' ? [] : no(value, at, 'a bool'));
const int: Type = (value, at) => (Number.isSafeInteger(value) ? [] : no(value, at, 'an int'));
/** Beyond 2^53 it is a BigInt here, as printed: never an exponent, never a fraction. */
const uint64: Type = (value, at) =>
  (typeof value === 'bigint' || Number.isSafeInteger(value)) && Number(value) >= 0
    ? []
    : no(value, at, 'a uint64');
const time = matching('a time in UTC', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
const seconds = matching('a time in whole seconds, UTC', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
const uuid = matching('a UUID', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const mac = matching('a MAC', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
const net = matching('a CIDR', /^[0-9a-f.:]+\/\d+$/);
const word = (...words: readonly string[]): Type =>
  matching(`one of ${words.join(', ')}`, new RegExp(`^(${words.join('|')})$`));
const orNull =
  (type: Type): Type =>
  (value, at) =>
    value === null ? [] : type(value, at);
const either =
  (one: Type, other: Type): Type =>
  (value, at) =>
    one(value, at).length === 0 ? [] : other(value, at);
const list =
  (type: Type): Type =>
  (value, at) =>
    Array.isArray(value)
      ? value.flatMap((each: Json, i) => type(each, `${at}[${i}]`))
      : no(value, at, 'a list');

const isObject = (value: Json): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const map =
  (type: Type): Type =>
  (value, at) =>
    isObject(value)
      ? Object.entries(value).flatMap(([key, each]) => type(each, `${at}.${key}`))
      : no(value, at, 'an object');

/** Fields that end in `!` must be there. */
function struct(fields: Readonly<Record<string, Type>>): Type {
  const needed = Object.keys(fields).filter((name) => name.endsWith('!'));
  const types = new Map(
    Object.entries(fields).map(([name, type]) => [name.replace('!', ''), type]),
  );
  return (value, at) => {
    if (!isObject(value)) return no(value, at, 'an object');
    const missing = needed.filter((name) => value[name.replace('!', '')] === undefined);
    return [
      ...missing.map((name) => `${at}.${name.replace('!', '')} is missing`),
      ...Object.entries(value).flatMap(([name, each]) => {
        const type = types.get(name);
        return type ? type(each, `${at}.${name}`) : [`${at}.${name} is no field of Calico's`];
      }),
    ];
  };
}

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

const address = matching('an address', /^[0-9a-f.:]+$/);
const daemon = struct({
  state: word('Ready', 'NotReady'),
  version: string,
  routerID: address,
  lastBootTime: string,
  lastReconfigurationTime: string,
});
const SESSION = ['Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established', 'Close'];
const peers = list(
  struct({
    peerIP: address,
    type: word('NodeMesh', 'NodePeer', 'GlobalPeer'),
    state: word(...SESSION),
    since: string,
  }),
);
const nodeRoutes = list(
  struct({
    type: word('FIB', 'RIB'),
    destination: net,
    gateway: address,
    interface: string,
    learnedFrom: struct({
      sourceType: word('Kernel', 'Static', 'Direct', 'NodeMesh', 'BGPPeer'),
      peerIP: address,
    }),
  }),
);

const STATUSES: Readonly<Record<string, Type>> = {
  caliconodestatuses: struct({
    'lastUpdated!': orNull(seconds),
    'agent!': struct({ 'birdV4!': daemon, 'birdV6!': daemon }),
    'bgp!': struct({
      'numberEstablishedV4!': int,
      'numberNotEstablishedV4!': int,
      'numberEstablishedV6!': int,
      'numberNotEstablishedV6!': int,
      peersV4: peers,
      peersV6: peers,
    }),
    'routes!': struct({ routesV4: nodeRoutes, routesV6: nodeRoutes }),
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
    status: STATUSES[plural] ?? struct({}),
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
