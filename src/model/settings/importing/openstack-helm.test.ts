import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../../base/json.ts';
import { importOpenstackHelm } from './openstack-helm.ts';

const imported = (...files: Json[]) => {
  const { values, lines, faults } = importOpenstackHelm(files);
  assert.deepEqual(faults, []);
  return { values, lines: lines.map(({ key, outcome, words }) => `${outcome}: ${key}: ${words}`) };
};

const peerOf2018 = {
  apiVersion: 'v1',
  kind: 'bgpPeer',
  metadata: { peerIP: '10.1.10.39', scope: 'node', node: 'n1' },
  spec: { asNumber: '64512' },
};

// What is written, what becomes of it.
const CASES: [what: string, theirs: Json, ours: Json][] = [
  ['nothing', {}, {}],
  [
    'networking',
    {
      networking: {
        podSubnet: '10.244.0.0/16',
        mtu: '9000',
        settings: { mesh: 'off', ippool: { nat_outgoing: 'true', disabled: false } },
        bgp: { asnumber: '64513' },
      },
    },
    {
      networking: {
        podSubnet: '10.244.0.0/16',
        mtu: 9000,
        settings: { mesh: 'off', ippool: { nat_outgoing: 'true', disabled: false } },
        bgp: { asnumber: 64513 },
      },
    },
  ],
  ...(
    [
      ['always', 'Always'],
      ['cross-subnet', 'CrossSubnet'],
      ['off', 'Never'],
      ['CrossSubnet', 'CrossSubnet'],
    ] as const
  ).map(([theirs, ours]): [string, Json, Json] => [
    `IP-in-IP ${theirs}`,
    { networking: { settings: { ippool: { ipip: { mode: theirs } } } } },
    { networking: { settings: { ippool: { ipip: { mode: ours } } } } },
  ]),
  [
    'the environment of the node',
    {
      conf: {
        node: {
          CALICO_STARTUP_LOGLEVEL: 'Warning',
          CALICO_IPV4POOL_CIDR: '10.9.0.0/16',
          IPV6_AUTODETECTION_METHOD: 'first-found',
          FELIX_IPV6SUPPORT: false,
          FELIX_IPINIPMTU: null,
        },
      },
      networking: { podSubnet: '10.8.0.0/16' },
    },
    {
      conf: {
        node: {
          LOG_LEVEL: 'warn',
          IP6_AUTODETECTION_METHOD: 'first-found',
          FELIX_IPV6SUPPORT: false,
        },
      },
      networking: { podSubnet: '10.9.0.0/16' },
    },
  ],
  [
    'peers of 2018',
    { networking: { bgp: { ipv4: { peers: [peerOf2018], mesh: { port: { listen: 1790 } } } } } },
    {
      networking: {
        bgp: {
          ipv4: {
            peers: [
              {
                apiVersion: 'projectcalico.org/v3',
                kind: 'BGPPeer',
                metadata: { name: 'node-10-1-10-39' },
                spec: { node: 'n1', peerIP: '10.1.10.39', asNumber: 64512 },
              },
            ],
            port: { listen: 1790 },
          },
        },
      },
    },
  ],
  [
    'controllers, blocks, the runtime’s configuration and TLS',
    {
      conf: {
        node: { CALICO_IPV4POOL_BLOCKSIZE: 27 },
        controllers: {
          K8S_API: 'https://kubernetes.default:443',
          ENABLED_CONTROLLERS: 'policy, profile,node',
          CONFIGURE_ETC_HOSTS: true,
        },
        cni_network_config: {
          name: 'k8s-pod-network',
          plugins: [{ type: 'calico', etcd_endpoints: '__ETCD_ENDPOINTS__' }],
        },
      },
      endpoints: { etcd: { scheme: { default: 'https' } } },
      pod: { lifecycle: { disruption_budget: { controllers: { min_available: 0 } } } },
    },
    {
      conf: {
        controllers: { ENABLED_CONTROLLERS: 'policy,profile,node' },
        cni_network_config: {
          name: 'k8s-pod-network',
          plugins: [{ type: 'calico', etcd_endpoints: '__ETCD_ENDPOINTS__' }],
        },
      },
      networking: { settings: { ippool: { block_size: 27 } } },
      etcd: { tls: { mode: 'generate' } },
      pod: { kube_controllers: { min_available: 0 } },
    },
  ],
  [
    'etcd and resources',
    {
      endpoints: {
        etcd: {
          hosts: { default: '10.96.0.20' },
          port: { client: { default: 7000 }, peer: { default: 7001 } },
          scheme: { default: 'http' },
        },
      },
      pod: { resources: { enabled: true, calico_node: { limits: { memory: '1Gi' } } } },
    },
    {
      etcd: { clusterIP: '10.96.0.20', port: 7000, peerPort: 7001 },
      pod: { calico_node: { resources: { limits: { memory: '1Gi' } } } },
    },
  ],
];
for (const [what, theirs, ours] of CASES) {
  test(`openstack-helm: ${what}`, () => assert.deepEqual(imported(theirs).values, ours));
}

test('resources that are switched off stay behind', () => {
  const { values, lines } = imported({
    pod: { resources: { enabled: 'false', etcd: { limits: {} } } },
  });
  assert.deepEqual(values, {});
  assert.equal(lines.at(-1), 'left out: pod.resources.etcd: pod.resources.enabled is off');
});

test('scraping that is switched off stays off', () => {
  const prometheus = (enabled: boolean) => ({ enabled, calico_node: { scrape: true, port: 9091 } });
  const given = (enabled: boolean) => imported({ monitoring: { prometheus: prometheus(enabled) } });
  const port = { conf: { node: { FELIX_PROMETHEUSMETRICSPORT: 9091 } } };
  assert.deepEqual(given(true).values, { monitoring: { scrape: true }, ...port });
  const { values, lines } = given(false);
  assert.deepEqual(values, port);
  assert.ok(
    lines.includes(
      'left out: monitoring.prometheus.calico_node.scrape: monitoring.prometheus.enabled is off',
    ),
    lines.join(),
  );
});

test('the reason is the one of the key itself, not of its section', () => {
  const { lines } = imported({
    conf: { controllers: { K8S_API: 'https://kubernetes.default:443' } },
    endpoints: { etcd: { auth: { client: { tls: { crt: 'c' } } } } },
  });
  assert.deepEqual(lines, [
    'left out: conf.controllers.K8S_API: the API server is found as every pod finds it',
    'left out: endpoints.etcd.auth: put certificates of your own into a Secret and name it in etcd.tls.secret; etcd.tls.mode: generate makes them',
  ]);
});

test('a section without anything in it is no unknown key', () => {
  const { values, lines } = imported({ networking: { bgp: { asnumber: 64512, ipv4: null } } });
  assert.deepEqual(values, { networking: { bgp: { asnumber: 64512 } } });
  assert.ok(lines.includes('left out: networking.bgp.ipv4: there is nothing in it'), lines.join());
});

test('a word that no node replaces is told of', () => {
  const { values, lines } = imported({ conf: { cni_network_config: { name: '__NAME__' } } });
  assert.deepEqual(values, {});
  assert.match(lines.join(), /left out: conf.cni_network_config: __NAME__ is no word/);
});

test('every key is told of', () => {
  const { lines } = imported({
    images: { tags: { calico_node: 'quay.io/calico/node:v3.25.1' } },
    networking: { bgp: { ipv4: { additional_cidrs: ['10.1.0.0/16'] } }, mtu: 1500 },
    typo: { here: 1 },
  });
  assert.deepEqual(lines, [
    'left out: images.tags: our images are others; set images.registry, or images.node, images.kube_controllers, images.etcd',
    'taken: networking.bgp.ipv4.additional_cidrs: networking.bgp.ipv4.additional_cidrs',
    'taken: networking.mtu: networking.mtu',
    'unknown: typo.here: openstack-helm’s chart has no such key',
  ]);
});

test('the pool’s mode stays although its switch is off, and the contradiction is told', () => {
  const { values, lines } = imported({
    networking: { settings: { ippool: { ipip: { enabled: 'false' } } } },
    conf: { node: { CALICO_IPV4POOL_IPIP: 'Always' } },
  });
  assert.deepEqual(values, { networking: { settings: { ippool: { ipip: { mode: 'Always' } } } } });
  assert.match(lines.at(-1)!, /contradicts conf.node.CALICO_IPV4POOL_IPIP "Always"/);
});

test('a later file lies over an earlier one', () => {
  const { values } = imported({ networking: { mtu: 1500 } }, { networking: { mtu: 9000 } });
  assert.deepEqual(values, { networking: { mtu: 9000 } });
});

test('what is taken and is no good is told by our own check', () => {
  const { faults } = importOpenstackHelm([{ networking: { podSubnet: '10.0.0.0' } }]);
  assert.match(faults[0]!, /^networking.podSubnet: "10.0.0.0" is not an IPv4 CIDR/);
});
