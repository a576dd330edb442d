// A small random world for property tests: keys and values of which any sequence of puts and
// deletes is possible. Shared by the calculator's and the engine's tests.
import fc from 'fast-check';

export type Operation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string };

const ROOT = '/calico/resources/v3/projectcalico.org/';

const pick = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const labels = fc.dictionary(pick('app', 'tier', 'pcns.team'), pick('a', 'b'), { maxKeys: 2 });
const selector = pick(
  'all()',
  "app == 'a'",
  "app != 'a' && has(tier)",
  "tier in {'a', 'b'}",
  "pcns.team == 'a'",
  'app = broken',
);
const selected = fc.record(
  {
    selector,
    notSelector: pick("tier == 'b'"),
    namespaceSelector: pick("team == 'a'", 'all()'),
    nets: fc.subarray(['10.0.0.0/8', '0.0.0.0/0', 'fd00::/8']),
    notNets: fc.subarray(['10.1.0.0/16', '10.2.0.0/16', 'fd00:1::/32', 'fd00:2::/32']),
    ports: fc.subarray([80, 'http', '100:200', ...Array.from({ length: 20 }, (_, i) => 1000 + i)]),
    notPorts: fc.subarray([81, 'http', '300:400', 65535]),
    serviceAccounts: pick({ names: ['a', 'b'] }, { selector: "x == 'y'" }),
  },
  { requiredKeys: [] },
);
const services = fc.record({ name: pick('web', 'db'), namespace: pick('ns', 'other') });
const entity = fc.oneof(
  { weight: 5, arbitrary: selected },
  { weight: 1, arbitrary: fc.record({ services }) },
);
const icmp = fc.record({ type: pick(0, 8, 254), code: pick(0, 3) }, { requiredKeys: ['type'] });
const rule = fc.record(
  {
    action: pick('Allow', 'Deny', 'Pass', 'Log'),
    ipVersion: pick(4, 6),
    protocol: pick<string | number>('TCP', 'UDP', 'SCTP', 'UDPLite', 'ICMP', 'ICMPv6', 47, 6),
    notProtocol: pick<string | number>('UDP', 'TCP', 47),
    icmp,
    notICMP: icmp,
    metadata: pick({ annotations: { why: 'because', long: 'x'.repeat(300) } }),
    source: entity,
    destination: entity,
  },
  { requiredKeys: ['action'] },
);
const rules = fc.array(rule, { maxLength: 2 });

const stored = (kind: string, name: string, spec: object, metadata: object = {}): string =>
  JSON.stringify({
    kind,
    apiVersion: 'projectcalico.org/v3',
    metadata: { name, ...metadata },
    spec,
  });

const put = (
  keys: readonly string[],
  value: (key: string) => fc.Arbitrary<string>,
): fc.Arbitrary<Operation> =>
  pick(...keys).chain((key) => value(key).map((text) => ({ kind: 'put', key, value: text })));

const ENDPOINTS = ['node1-k8s-a-eth0', 'node1-k8s-b-eth0', 'node2-k8s-c-eth0'].map(
  (name) => `${ROOT}workloadendpoints/ns/${name}`,
);
const NAMESPACED = ['p', 'q'].map((name) => `${ROOT}networkpolicies/ns/${name}`);
const GLOBAL = ['g', 'h'].map((name) => `${ROOT}globalnetworkpolicies/${name}`);
const STAGED = [`${ROOT}stagednetworkpolicies/ns/p`, `${ROOT}stagedglobalnetworkpolicies/g`];
const PROFILES = ['kns.ns', 'ksa.ns.x'].map((name) => `${ROOT}profiles/${name}`);
const POOLS = ['one', 'two'].map((name) => `${ROOT}ippools/${name}`);
const NODES = ['node1', 'node2'].map((name) => `${ROOT}nodes/${name}`);
const SETS = [`${ROOT}globalnetworksets/s`, `${ROOT}networksets/ns/s`];
const TIERS = [`${ROOT}tiers/t`];
const HOSTS = ['h', 'i'].map((name) => `${ROOT}hostendpoints/${name}`);
const FELIX = ['default', 'node.node1'].map((name) => `${ROOT}felixconfigurations/${name}`);

const SLICES = ['x', 'y'].map((name) => `${ROOT}kubernetesendpointslices/ns/${name}`);

const slice = fc
  .record({
    service: pick('web', 'db'),
    addresses: fc.subarray(['10.1.0.1', '10.1.0.2', 'fd00::1', 'no address']),
    ports: fc.subarray([
      { protocol: 'TCP', port: 8080 },
      { protocol: 'UDP', port: 53 },
      { protocol: 'SCTP', port: 9 },
    ]),
  })
  .map((spec) => stored('KubernetesEndpointSlice', 's', spec, { namespace: 'ns' }));

const hostEndpoint = (key: string): fc.Arbitrary<string> =>
  fc
    .record(
      {
        node: pick('node1', 'node1', 'node2'),
        interfaceName: pick('eth0', 'eth1', '*', 'cali1'),
        expectedIPs: fc.subarray(['10.9.0.1', 'fd00:9::1']),
        profiles: fc.subarray(['kns.ns', 'projectcalico-default-allow', 'absent']),
      },
      { requiredKeys: ['node'] },
    )
    .chain((spec) =>
      labels.map((own) =>
        stored('HostEndpoint', key.slice(key.lastIndexOf('/') + 1), spec, { labels: own }),
      ),
    );

const failsafes = fc.subarray([
  { protocol: 'tcp', port: 22 },
  { protocol: 'UDP', port: 53, net: '10.0.0.0/8' },
  { protocol: 'tcp', port: 22, net: 'fd00::/8' },
]);
const felix = fc.record(
  {
    failsafeInboundHostPorts: failsafes,
    failsafeOutboundHostPorts: failsafes,
    workloadSourceSpoofing: pick('Any', 'Disabled'),
    logPrefix: pick('%t %k %p', 'mine'),
    logActionRateLimit: pick('10/minute', 'often'),
    logActionRateLimitBurst: pick(3, 7),
    defaultEndpointToHostAction: pick('Drop', 'Return', 'ACCEPT', 'none'),
    iptablesFilterAllowAction: pick('Accept', 'Return'),
    iptablesMangleAllowAction: pick('Accept', 'Return'),
    iptablesFilterDenyAction: pick('Drop', 'Reject'),
    natPortRange: pick('1000:2000', 'all'),
    natOutgoingAddress: pick('10.9.0.7', 'fd00:9::7'),
    natOutgoingExclusions: pick('IPPoolsOnly', 'IPPoolsAndHostIPs'),
    interfacePrefix: pick('cali', 'cali,tap', 'eth'),
    allowIPIPPacketsFromWorkloads: fc.boolean(),
    disableConntrackInvalidCheck: fc.boolean(),
    externalNodesList: fc.subarray(['10.9.8.0/24', 'fd00:9:8::/64', 'nowhere']),
    serviceLoopPrevention: pick('Drop', 'Reject', 'Disabled'),
  },
  { requiredKeys: [] },
);

const endpoint = (key: string): fc.Arbitrary<string> => {
  const name = key.slice(key.lastIndexOf('/') + 1);
  const [node = '', , pod = ''] = name.split('-');
  return fc
    .record({
      labels: labels.map((own) => ({ ...own, 'projectcalico.org/namespace': 'ns' })),
      net: pick('10.1.0.1/32', '10.1.0.2/32', '10.1.0.3/32'),
      ipv6: fc.subarray(['fd00::1/128', 'fd00::2/128'], { maxLength: 1 }),
      profiles: fc.subarray(['kns.ns', 'ksa.ns.x']),
      port: pick(8080, 9090),
    })
    .map(({ labels: own, net, ipv6, profiles, port }) =>
      stored(
        'WorkloadEndpoint',
        name,
        {
          orchestrator: 'k8s',
          node,
          pod,
          endpoint: 'eth0',
          ipNetworks: [net, ...ipv6],
          profiles,
          interfaceName: `cali${pod}`,
          ports: [{ name: 'http', protocol: 'TCP', port }],
        },
        { namespace: 'ns', labels: own },
      ),
    );
};

const policy =
  (kind: string) =>
  (key: string): fc.Arbitrary<string> =>
    fc
      .record(
        {
          tier: pick('default', 't'),
          order: pick(10, 20),
          selector,
          types: fc.subarray(['Ingress', 'Egress'], { minLength: 1 }),
          ingress: rules,
          egress: rules,
          ...(kind === 'GlobalNetworkPolicy'
            ? {
                doNotTrack: fc.boolean(),
                preDNAT: fc.boolean(),
                applyOnForward: fc.boolean(),
              }
            : {}),
        },
        { requiredKeys: ['selector'] },
      )
      .map((spec) => stored(kind, key.slice(key.lastIndexOf('/') + 1), spec));

const profile = (key: string): fc.Arbitrary<string> =>
  fc
    .record(
      {
        ingress: rules,
        egress: rules,
        labelsToApply: fc.dictionary(pick('pcns.team', 'pcns.app'), pick('a', 'b')),
      },
      { requiredKeys: [] },
    )
    .map((spec) => stored('Profile', key.slice(key.lastIndexOf('/') + 1), spec));

const SERVICES = [`${ROOT}bgpconfigurations/default`];

const KEYS = [
  ...ENDPOINTS,
  ...NAMESPACED,
  ...GLOBAL,
  ...STAGED,
  ...PROFILES,
  ...POOLS,
  ...NODES,
  ...SETS,
  ...TIERS,
  ...HOSTS,
  ...FELIX,
  ...SLICES,
  ...SERVICES,
];

/** One change of the datastore. */
export const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: put(ENDPOINTS, endpoint) },
  { weight: 2, arbitrary: put(NAMESPACED, policy('NetworkPolicy')) },
  { weight: 2, arbitrary: put(GLOBAL, policy('GlobalNetworkPolicy')) },
  put(STAGED, (key) =>
    policy(key.includes('global') ? 'StagedGlobalNetworkPolicy' : 'StagedNetworkPolicy')(key),
  ),
  { weight: 2, arbitrary: put(PROFILES, profile) },
  put(POOLS, () =>
    fc
      .record({ natOutgoing: fc.boolean(), cidr: pick('10.1.0.0/16', 'fd00::/112') })
      .map((spec) => stored('IPPool', 'p', spec)),
  ),
  put(NODES, () =>
    pick('10.9.0.1/24', '10.9.0.2/24').map((ipv4Address) =>
      stored('Node', 'n', { bgp: { ipv4Address } }),
    ),
  ),
  put(SETS, (key) =>
    labels.map((own) =>
      stored(
        key.includes('global') ? 'GlobalNetworkSet' : 'NetworkSet',
        's',
        { nets: ['198.51.100.0/24', '0.0.0.0/0', '2001:db8::/64', '::/0', '::ffff:10.3.4.0/120'] },
        { labels: own },
      ),
    ),
  ),
  put(SLICES, () => slice),
  put(SERVICES, () =>
    fc
      .record({
        serviceClusterIPs: fc.subarray([{ cidr: '10.96.0.0/12' }, { cidr: 'fd00:96::/112' }]),
        serviceExternalIPs: fc.subarray([{ cidr: '192.0.2.0/24' }, { cidr: 'none' }]),
      })
      .map((spec) => stored('BGPConfiguration', 'default', spec)),
  ),
  put(HOSTS, hostEndpoint),
  put(FELIX, () => felix.map((spec) => stored('FelixConfiguration', 'f', spec))),
  put(TIERS, () => pick(5, 2_000_000).map((order) => stored('Tier', 't', { order }))),
  pick(...KEYS).map((key): Operation => ({ kind: 'delete', key })),
);

/** What is stored after the operations. */
export function outcomeOf(operations: readonly Operation[]): ReadonlyMap<string, string> {
  const state = new Map<string, string>();
  for (const change of operations) {
    if (change.kind === 'put') state.set(change.key, change.value);
    else state.delete(change.key);
  }
  return state;
}
