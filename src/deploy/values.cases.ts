// Random settings for property tests: every switch in every spelling, every field present or
// left to its default, and free text that must stay data wherever it lands.
import fc from 'fast-check';
import type { Json } from '../base/json.ts';
import { settingsFrom } from '../model/settings/settings.ts';

/** How many random sets a property tries; CALICO_KIT_RUNS overrides. */
export const RUNS = Number(process.env['CALICO_KIT_RUNS'] ?? (process.env['CI'] ? 500 : 60));

const optional = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { requiredKeys: [] });

const toggle = fc.constantFrom(
  true,
  false,
  ...['on', 'On', 'ON', 'yes', 'Yes', 'true', 'TRUE'],
  ...['off', 'Off', 'OFF', 'no', 'No', 'false', 'False'],
);
const cidr = fc
  .tuple(fc.ipV4(), fc.integer({ min: 8, max: 32 }))
  .map(([ip, length]) => `${ip}/${length}`);
const port = fc.integer({ min: 1, max: 65535 });
const asNumber = fc.oneof(
  fc.integer({ min: 1, max: 65535 }),
  fc.integer({ min: 65536, max: 4294967295 }),
);
// YAML has no way to carry these outside of escapes, and Helm's own printing does not escape them.
const UNPRINTABLE = /[\u007f-\u009f\ufffe\uffff]/;
const text = fc.oneof(
  fc.string({ unit: 'grapheme' }).filter((s) => !UNPRINTABLE.test(s)),
  fc.string({ unit: 'binary-ascii' }).filter((s) => !UNPRINTABLE.test(s)),
  fc.constantFrom('{{ .Values }}', '%d %v', '1e3', 'null', 'on', '0x10', '"', "'", ': -', '#', ''),
);
const scalar = fc.oneof(
  text,
  fc.boolean(),
  fc.integer({ min: -2147483648, max: 4294967295 }),
  fc.constant(null),
);
const method = fc.oneof(
  fc.constant('first-found'),
  fc.stringMatching(/^(can-reach|interface)=[ -~]{1,20}$/),
);

const felix = fc.dictionary(
  fc
    .stringMatching(/^FELIX_[A-Z0-9]{1,12}$/)
    .filter((name) => !/^FELIX_(HEALTH|PROMETHEUSMETRICS)/.test(name)),
  scalar,
  { maxKeys: 4, noNullPrototype: true },
);
const known = optional({
  CLUSTER_TYPE: scalar,
  LOG_LEVEL: fc.constantFrom('debug', 'info', 'warn', 'error'),
  IP: scalar,
  BGP_DRAIN_SECONDS: fc.option(fc.nat({ max: 600 })),
  IP_AUTODETECTION_METHOD: fc.oneof(method, fc.constant(null)),
  FELIX_PROMETHEUSMETRICSENABLED: toggle,
  FELIX_PROMETHEUSMETRICSPORT: fc.oneof(port, port.map(String), fc.constant(null)),
});
const autodetection6 = fc.oneof(
  optional({ IP6_AUTODETECTION_METHOD: method }),
  optional({ IPV6_AUTODETECTION_METHOD: method }),
  method.map((same) => ({ IP6_AUTODETECTION_METHOD: same, IPV6_AUTODETECTION_METHOD: same })),
);
const environment = fc
  .tuple(felix, known, autodetection6)
  .map((parts) => Object.assign({}, ...parts) as Record<string, string | number | boolean | null>);

const image = fc.oneof(
  fc.stringMatching(/^[a-z0-9][a-zA-Z0-9._:/@-]{0,30}$/),
  fc.constantFrom('docker.io/a/b:1', 'localhost/b', 'a/b:1', `a:5000/b@sha256:${'0'.repeat(64)}`),
);
const url = fc.tuple(fc.ipV4(), port).map(([ip, p]) => `http://${ip}:${p}`);
const urls = fc.array(url, { minLength: 1, maxLength: 3 }).map((all) => all.join(','));
const httpsUrls = urls.map((text) => text.replaceAll('http://', 'https://'));
const secret = fc.constantFrom('certificates', 'calico-etcd.tls');
const schedule = fc.constantFrom('', '@daily', '30 2 * * *', '*/5 0-6 1,15 * 1-5');
const etcdKeeping = {
  members: fc.constantFrom(1, 3, 5),
  quotaBytes: fc.integer({ min: 16777216, max: 8589934592 }),
  autoCompactionRetention: fc.constantFrom('1', '30m'),
  snapshots: optional({
    schedule,
    keep: fc.integer({ min: 1, max: 1000 }),
    hostPath: fc.constantFrom('/var/backups', '/srv/a.b/c'),
    claim: fc.constantFrom('', 'backups'),
  }),
  defragmentation: optional({ schedule }),
  restore: fc.constantFrom('', 'calico-etcd-20270131T023000Z.db'),
};
const etcd = fc.oneof(
  optional({
    enabled: fc.constant(true),
    endpoints: fc.oneof(fc.constant(''), urls),
    clusterIP: fc.ipV4(),
    port,
    peerPort: port,
    healthPort: port,
    ...etcdKeeping,
  }),
  fc.record({ enabled: fc.constant(false), endpoints: urls }),
  fc.record({ endpoints: httpsUrls, tls: fc.record({ secret }) }),
  fc.record({ tls: fc.record({ secret }) }),
  fc.record({
    tls: fc.record({ mode: fc.constant('generate'), rotate: text, rotate_authority: text }),
    ...etcdKeeping,
  }),
);

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?$/);
// What Kubernetes takes as it is: any object, and nothing in it may be taken for a template. A key of this name,
// which Kubernetes has nowhere, cdk8s loses and Helm prints.
const free = fc.dictionary(
  text.filter((key) => key !== '__proto__'),
  fc.oneof(text, fc.boolean(), fc.integer(), fc.array(text, { maxLength: 2 }), fc.constant({})),
  { maxKeys: 3, noNullPrototype: true },
);
const variables = fc.uniqueArray(
  fc.oneof(
    fc.record({ name: fc.stringMatching(/^X_[A-Z]{1,6}$/), value: text }),
    fc.record({ name: fc.stringMatching(/^X_[A-Z]{1,6}$/), valueFrom: free }),
  ),
  { maxLength: 2, selector: (variable) => variable.name },
);
const tolerations = fc.array(
  optional({
    key: text,
    operator: fc.constantFrom('Exists', 'Equal'),
    value: text,
    effect: fc.constantFrom('NoSchedule', 'NoExecute'),
    tolerationSeconds: fc.nat(),
  }),
  { maxLength: 2 },
);
const labels = fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true });
const podSettings = {
  resources: free,
  labels,
  annotations: labels,
  extra_env: variables,
  tolerations,
  priority_class: name,
  node_selector: labels,
  app_armor: fc.constantFrom('', 'RuntimeDefault', 'Unconfined'),
};
const monitoring = optional({
  scrape: fc.boolean(),
  kube_controllers_port: fc.integer({ min: 0, max: 65535 }),
  monitor: optional({
    kind: fc.constantFrom('None', 'PodMonitor', 'ServiceMonitor'),
    interval: fc.constantFrom('30s', '1m', '1m30s'),
    labels,
  }),
  alerts: optional({
    enabled: fc.boolean(),
    labels,
    runbook_url: fc.constantFrom('', 'https://wiki.example/calico'),
  }),
  dashboard: optional({ enabled: fc.boolean(), labels }),
});
const selector = text;
const mode = fc.constantFrom('Always', 'CrossSubnet', 'Never');
const pool = fc.oneof(
  fc.record({ name, cidr }),
  fc.record({ name, cidr, ipipMode: mode, vxlanMode: mode, nodeSelector: selector }),
  fc.record({
    name,
    cidr: fc.ipV6().map((address) => `${address}/64`),
    blockSize: fc.integer({ min: 116, max: 128 }),
    ipipMode: mode,
    vxlanMode: mode,
    natOutgoing: fc.boolean(),
    nodeSelector: selector,
  }),
);
const peer = fc.record({
  apiVersion: fc.constant('projectcalico.org/v3'),
  kind: fc.constant('BGPPeer'),
  metadata: fc.record({ name }),
  spec: optional({
    peerIP: fc.ipV4(),
    asNumber,
    nodeSelector: selector,
    filters: fc.array(text, { maxLength: 2 }),
  }),
});
const addressFamily = optional({
  peers: fc.uniqueArray(peer, { maxLength: 3, selector: ({ metadata }) => metadata.name }),
  community_cidr_ref: fc.oneof(
    fc.constant(null),
    fc.dictionary(name, fc.record({ cidr: text, community: fc.integer({ min: 0, max: 65535 }) }), {
      maxKeys: 2,
      noNullPrototype: true,
    }),
  ),
  additional_cidrs: fc.array(cidr, { maxLength: 2 }),
  port: optional({ listen: port, neighbor: port }),
});
const policyGroup = fc.record({
  priority: fc.integer({ min: 0, max: 9 }),
  rules: fc.array(
    fc.record({
      apiVersion: fc.constant('projectcalico.org/v3'),
      kind: fc.constantFrom('GlobalNetworkPolicy', 'Tier', 'NetworkSet'),
      metadata: fc.record({ name: text }),
      spec: free,
    }),
    { maxLength: 2 },
  ),
});

// Random prefixes overlap now and then.
const isDisjoint = (values: object): boolean => {
  const checked = settingsFrom(values as Json);
  return checked.ok || !checked.error.some((fault) => fault.includes(' overlaps '));
};

const prefixes = fc.oneof(
  fc.constant(''),
  fc.array(cidr, { minLength: 1, maxLength: 2 }).map((all) => all.join(',')),
);
const serviceProxyMore = {
  mode: fc.constantFrom('modern', '2018'),
  clusterCIDR: prefixes,
  nodePortAddresses: prefixes,
  masqueradeAll: fc.boolean(),
  masqueradeBit: fc.integer({ min: 0, max: 15 }),
  externalCIDRs: prefixes,
  localhostNodePorts: fc.boolean(),
  loadBalancerCIDRs: prefixes,
  healthAddress: fc.oneof(fc.constant(''), fc.ipV4()),
  takeOver: fc.boolean(),
};
const serviceProxy = fc.oneof(
  optional({ enabled: fc.constant(false), ...serviceProxyMore }),
  fc.record(
    {
      enabled: fc.constant(true),
      apiServer: fc.record({ host: fc.ipV4(), port }),
      ...serviceProxyMore,
    },
    { requiredKeys: ['enabled', 'apiServer'] },
  ),
);

/** What users may write, and what must be accepted. */
export const goodValues = optional({
  networking: optional({
    podSubnet: cidr,
    mtu: fc.integer({ min: 576, max: 65535 }),
    settings: optional({
      mesh: toggle,
      ippool: fc.oneof(
        optional({
          ipip: optional({ mode }),
          nat_outgoing: toggle,
          disabled: toggle,
          block_size: fc.integer({ min: 20, max: 32 }),
          node_selector: selector,
          disable_bgp_export: fc.oneof(fc.constant(''), toggle),
        }),
        fc.record({ ipip: fc.constant({ mode: 'Never' }), vxlan: optional({ mode }) }),
      ),
    }),
    bgp: optional({
      asnumber: asNumber,
      bfd: fc.constantFrom('', 'on', 'off', 'transmit=50ms,multiplier=4'),
      route_reflectors: optional({
        per_zone: fc.integer({ min: 0, max: 16 }),
        node_selector: text,
      }),
      ipv4: fc.oneof(fc.constantFrom(null, {}), addressFamily),
      ipv6: fc.constantFrom(null, {}),
    }),
    pools: fc.uniqueArray(pool, { maxLength: 3, selector: ({ name }) => name }),
    policy: fc.dictionary(name, policyGroup, { maxKeys: 2, noNullPrototype: true }),
  }),
  conf: optional({
    node: environment,
    controllers: optional({
      ENABLED_CONTROLLERS: fc.constantFrom('policy', 'profile,node', 'namespace,policy,settings'),
      LEAK_GRACE_PERIOD: fc.constantFrom('', '0', '1h30m'),
    }),
    cni_network_config: fc.oneof(
      fc.constantFrom({}, null),
      fc.record({ name: text, plugins: fc.array(fc.record({ type: text, more: free })) }),
    ),
  }),
  bgpConfiguration: fc.oneof(
    fc.constantFrom({}, null),
    optional({
      bindMode: fc.constantFrom('None', 'NodeIP'),
      serviceClusterIPs: fc.array(fc.record({ cidr }), { maxLength: 2 }),
      ignoredInterfaces: fc.array(text, { maxLength: 2 }),
      ipv4NormalRoutePriority: fc.integer({ min: 1, max: 2147483646 }),
      communities: fc.array(fc.record({ name: text, value: text }), { maxLength: 2 }),
    }),
  ),
  felixConfiguration: fc.oneof(
    fc.constantFrom({}, null),
    optional({
      vxlanVNI: fc.integer({ min: 1, max: 16777215 }),
      vxlanPort: port,
      logPrefix: text,
      allowVXLANPacketsFromWorkloads: fc.boolean(),
      failsafeInboundHostPorts: fc.array(
        fc.record({ protocol: fc.constantFrom('TCP', 'udp'), port }),
        { maxLength: 2 },
      ),
    }),
  ),
  images: optional({
    node: image,
    kube_controllers: image,
    etcd: image,
    registry: fc.constantFrom('', 'mirror.example:5000', 'r.example/a/b'),
    pull_policy: fc.constantFrom('Always', 'IfNotPresent', 'Never'),
    pull_secrets: fc.array(name, { maxLength: 2 }),
  }),
  etcd,
  serviceProxy,
  pod: optional({
    calico_node: optional({
      ...podSettings,
      affinity: free,
      update_strategy: fc.constantFrom('RollingUpdate', 'OnDelete'),
      max_unavailable: fc.constantFrom(1, 4, '10%', '100%'),
    }),
    kube_controllers: optional({
      ...podSettings,
      affinity: free,
      host_network: fc.boolean(),
      min_available: fc.constantFrom(0, 1),
    }),
    etcd: optional({ ...podSettings, affinity: free }),
  }),
  manifests: optional({
    connectivity_test: fc.boolean(),
    configmap_etc: fc.boolean(),
    daemonset_calico_etcd: fc.boolean(),
    daemonset_calico_node: fc.boolean(),
    deployment_calico_kube_controllers: fc.boolean(),
    job_pools_check: fc.boolean(),
    service_calico_etcd: fc.boolean(),
  }),
  rbac: optional({ create: fc.boolean() }),
  uninstall: optional({ cleanNodes: fc.boolean(), removeDatastore: fc.boolean() }),
  argocd: optional({ sync_waves: fc.boolean() }),
  monitoring,
  global: fc.oneof(
    fc.dictionary(text, text, { maxKeys: 2, noNullPrototype: true }),
    fc.constant({ imageRegistry: 'global.example' }),
  ),
}).filter(isDisjoint);

/** Texts for fields that rules look at: good ones, near misses and noise. */
export const nearText = fc.oneof(
  cidr,
  fc.ipV4(),
  method,
  urls,
  text,
  fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 99 })).map(([ip, n]) => `${ip}/${n}`),
  fc.tuple(cidr, fc.string({ maxLength: 2 })).map((parts) => parts.join('')),
  fc.mixedCase(fc.constantFrom('on', 'off', 'yes', 'no', 'true', 'false')),
  fc.stringMatching(/^http:\/\/[ -~]{1,12}:[0-9]{1,3}\/?$/),
);
