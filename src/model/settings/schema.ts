// The settings: one schema is the TypeScript type, the chart's values.schema.json, its
// values.yaml and the check of both roads (cdk8s and Helm). Structure, enums and ranges stand
// here. What a schema would report badly (addresses, prefixes, cross-field conditions) stands in
// rules.ts. Patterns must mean the same in RE2 and JavaScript: no look-around, no `format`.
import Type from 'typebox';
import type { Json } from '../../base/json.ts';
import type { SchemaPart } from '../../base/json-schema.ts';
import { bgpConfiguration, controllers, felixConfiguration } from './configurations.ts';
import { etcd } from './etcd.ts';
import { addressFamily, policies, pools, routeReflectors } from './lists.ts';
import { monitoring } from './monitoring.ts';
import { closed, enumOf, integer, map, orNull, switchOf, text } from './parts.ts';
import { pod } from './pod.ts';
import { serviceProxy } from './service-proxy.ts';

export type { Switch } from './parts.ts';

const IpPoolSettings = Type.Object(
  {
    ipip: Type.Object(
      {
        mode: enumOf(
          ['Always', 'CrossSubnet', 'Never'],
          'Always',
          'IP-in-IP between nodes: always, only across subnets, or plain routes',
        ),
      },
      closed,
    ),
    vxlan: Type.Object(
      {
        mode: enumOf(
          ['Always', 'CrossSubnet', 'Never'],
          'Never',
          'VXLAN between nodes, which needs no BGP: always, or only across subnets; ipip.mode must be Never then',
        ),
      },
      closed,
    ),
    nat_outgoing: switchOf(
      true,
      'Pods reach addresses outside the pool with the address of their node',
    ),
    disabled: switchOf(false, 'Give no further addresses out of the pool'),
    block_size: integer(
      26,
      20,
      32,
      'Prefix length of the blocks that nodes take of the pool; stays once the pool is there',
    ),
    node_selector: text('', 'Nodes that use the pool; empty: as the pool has it, at first all()'),
    disable_bgp_export: switchOf(
      '',
      'Tell no BGP peer of the pool’s blocks; empty: as the pool has it, at first off',
    ),
  },
  closed,
);

const Networking = Type.Object(
  {
    podSubnet: text('192.168.0.0/16', 'IPv4 prefix that pods get their addresses from'),
    pools,
    mtu: integer(
      1500,
      576,
      65535,
      'MTU of the physical network; the MTU of pods follows from it (20 less with IP-in-IP, 50 with VXLAN, 70 with VXLAN over IPv6)',
    ),
    settings: Type.Object(
      {
        mesh: switchOf('on', 'Every node speaks BGP with every other node ("on" or "off")'),
        ippool: IpPoolSettings,
      },
      closed,
    ),
    bgp: Type.Object(
      {
        asnumber: Type.Integer({
          default: 64512,
          description: 'AS number of the nodes, 1 to 4294967295',
        }),
        route_reflectors: routeReflectors,
        bfd: Type.String({
          default: '',
          description:
            'BFD for all sessions: "on" (3 x 150 ms), "off", or transmit=100ms,receive=100ms,multiplier=3; empty: as BGPConfiguration is annotated',
        }),
        ipv4: addressFamily('IPv4'),
        ipv6: addressFamily('IPv6'),
      },
      closed,
    ),
    policy: policies,
  },
  closed,
);

/** A value of the environment; null leaves the variable out. */
export type EnvironmentValue = string | number | boolean | null;

const scalar = { type: ['string', 'integer', 'boolean', 'null'], minimum: -2147483648 } as const;
const variable = (description: string, value?: EnvironmentValue) => ({
  ...scalar,
  maximum: 4294967295,
  description,
  ...(value === undefined ? {} : { default: value }),
});

const environment: Record<string, object> = {
  CLUSTER_TYPE: variable('Kinds of cluster and routing, for information', 'k8s,bgp'),
  CALICO_NETWORKING_BACKEND: {
    type: 'string',
    enum: ['bird', 'vxlan', 'none'],
    default: 'bird',
    description:
      'Who tells nodes of routes: "bird", a BGP speaker on every node; "vxlan" or "none", nobody: there is no container bgp, and pods of pools with VXLAN reach one another by the agent’s routes',
  },
  LOG_LEVEL: {
    type: 'string',
    enum: ['debug', 'info', 'warn', 'error'],
    default: 'info',
    description: 'Lowest level that is logged',
  },
  IP: variable('IPv4 address of every node: "autodetect", "none", or empty for detection once'),
  IP_AUTODETECTION_METHOD: variable(
    'How a node finds its IPv4 address: first-found, can-reach=DESTINATION or interface=REGEX',
    'first-found',
  ),
  IP6: variable('IPv6 address of every node: "autodetect", "none"; empty: what the Node says'),
  IP6_AUTODETECTION_METHOD: variable('How a node finds its IPv6 address (IP6 "autodetect")'),
  IPV6_AUTODETECTION_METHOD: variable('Older spelling of IP6_AUTODETECTION_METHOD'),
  AUTODETECT_POLL_INTERVAL: variable('Between two looks at a node’s own address: 60s, 5m'),
  BGP_DRAIN_SECONDS: variable(
    'So long a speaker that is stopped goes on while its peers turn elsewhere, 0 to 600; empty: 1',
  ),
  DISABLE_NODE_IP_CHECK: variable('"true": two nodes may have the same address'),
  FELIX_DEFAULTENDPOINTTOHOSTACTION: variable(
    'What happens to traffic from a pod to its own node: ACCEPT, RETURN or DROP',
    'ACCEPT',
  ),
  FELIX_DEFAULTDENYGUARD: variable(
    'Drop what no policy has accepted even while others have flushed the rules; empty: "true"',
  ),
  // The probes of the pods ask port 9099, so neither can change.
  FELIX_HEALTHENABLED: {
    enum: ['true', true],
    default: 'true',
    description: 'Serve liveness and readiness; always on',
  },
  FELIX_HEALTHPORT: {
    enum: ['9099', 9099],
    description: 'TCP port of the health endpoints; fixed',
  },
  FELIX_IPV6SUPPORT: variable('Program IPv6 as well', 'false'),
  FELIX_LOGSEVERITYSCREEN: variable("Felix's name for the log level", 'Info'),
  FELIX_PROMETHEUSMETRICSENABLED: variable('Serve Prometheus metrics', 'true'),
  FELIX_PROMETHEUSMETRICSPORT: variable('TCP port of the metrics', '9091'),
};

/** Environment of calico-node: the known names, and any other that Felix understands. */
export type NodeEnvironment = Record<string, EnvironmentValue>;
const NodeEnvironment = Type.Unsafe<NodeEnvironment>({
  type: 'object',
  properties: environment,
  patternProperties: { '^FELIX_[A-Z0-9]+$': variable('A setting of Felix') },
  ...closed,
});

const cniNetworkConfig = Type.Optional(
  Type.Unsafe<Readonly<Record<string, Json>> | null>(
    orNull(
      {
        default: {},
        properties: {
          name: { type: 'string', description: 'Name of the network' },
          cniVersion: { type: 'string', description: 'Version of the CNI specification' },
          plugins: {
            type: 'array',
            items: {
              type: 'object',
              required: ['type'],
              properties: { type: { type: 'string' } },
            },
            description: 'The plugins, ours first: type calico',
          },
        },
      },
      'Network configuration list for the runtime instead of ours; words such as __CNI_MTU__ are replaced on each node; empty: ours',
    ),
  ),
);

const Conf = Type.Object(
  { node: NodeEnvironment, controllers, cni_network_config: cniNetworkConfig },
  closed,
);

const image = (name: string) =>
  text(`docker.io/calico-kit/${name}:0.1.0`, `Image of ${name}: registry, name and tag or digest`);

const Images = Type.Object(
  {
    node: image('calico-node'),
    kube_controllers: image('kube-controllers'),
    etcd: image('etcd'),
    registry: text(
      '',
      'Registry that takes the place of those above, such as a mirror of yours; empty: global.imageRegistry, else as they are',
    ),
    pull_policy: enumOf(['Always', 'IfNotPresent', 'Never'], 'IfNotPresent', 'When to pull images'),
    pull_secrets: Type.Array(Type.String(), {
      default: [],
      description: 'Names of Secrets for a registry that asks for a password',
    }),
  },
  closed,
);

const manifest = (what: string) =>
  Type.Boolean({ default: true, description: `Make ${what}; false: you make it yourself` });

const Manifests = map({
  connectivity_test: manifest('what helm test runs, in namespace calico-connectivity'),
  configmap_etc: manifest('ConfigMap calico-etc'),
  daemonset_calico_etcd: manifest('DaemonSet calico-etcd'),
  daemonset_calico_node: manifest('DaemonSet calico-node'),
  deployment_calico_kube_controllers: manifest('Deployment calico-kube-controllers'),
  job_pools_check: manifest(
    'Job calico-pools-check, which refuses an upgrade that changes the prefix of a pool',
  ),
  service_calico_etcd: manifest('Service calico-etcd'),
});

const Rbac = Type.Object(
  { create: Type.Boolean({ default: true, description: 'Create cluster roles and bindings' }) },
  closed,
);

const Uninstall = Type.Object(
  {
    cleanNodes: Type.Boolean({
      default: true,
      description:
        'helm uninstall takes routes, rules, links and files off the nodes and waits for it',
    }),
    removeDatastore: Type.Boolean({
      default: false,
      description:
        'helm uninstall also erases the data of calico-etcd, its record of members and the certificates that were made for it; snapshots stay. Only with cleanNodes',
    }),
  },
  closed,
);

const ArgoCd = map({
  sync_waves: Type.Boolean({
    default: false,
    description: 'Give every object its place in the order in which Argo CD applies them',
  }),
});

/** The whole of values.yaml. `global` is there for use as a subchart. */
export const schema = Type.Object(
  {
    networking: Networking,
    conf: Conf,
    bgpConfiguration,
    felixConfiguration,
    images: Images,
    etcd,
    pod,
    manifests: Manifests,
    serviceProxy,
    monitoring,
    rbac: Rbac,
    uninstall: Uninstall,
    argocd: ArgoCd,
    global: Type.Optional(
      Type.Unsafe<Readonly<Record<string, Json>>>({
        type: 'object',
        description: 'Accepted for use as a subchart; imageRegistry is read',
      }),
    ),
  },
  { ...closed, $schema: 'http://json-schema.org/draft-07/schema#' },
);

export type Values = Type.Static<typeof schema>;

/** The schema, seen as data. */
export const schemaPart = schema as unknown as SchemaPart;
