import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Json } from '../../base/json.ts';
import type { SchemaPart } from '../../base/json-schema.ts';
import { schemaPart } from './schema.ts';
import { badSettings } from './settings.cases.ts';
import { defaults, isOn, settingsFrom } from './settings.ts';

const accepted = (user: Json) => {
  const result = settingsFrom(user);
  assert.deepEqual(result.ok ? [] : result.error, []);
  return result.ok ? result.value : defaults();
};

const deck = `
networking:
  podSubnet: 192.168.0.0/16
  # NOTE(portdirect): this should be the physical MTU, the appropriate MTU
  # that calico should use will be calculated.
  mtu: 1500
  settings:
    mesh: "on"
  bgp:
    # our asnumber for bgp peering
    asnumber: 64512
    ipv4:
conf:
  node:
    # Detection of source interface for routing
    # options include
    # can-reach=DESTINATION
    # interface=INTERFACE-REGEX
    IP_AUTODETECTION_METHOD: first-found
    IPV6_AUTODETECTION_METHOD: first-found
`;

test('the values of the slides are accepted as they stand', () => {
  const { networking, conf } = accepted(parse(deck) as Json);
  assert.equal(networking.podSubnet, '192.168.0.0/16');
  assert.equal(networking.bgp.ipv4, null);
  assert.equal(conf.node['IPV6_AUTODETECTION_METHOD'], 'first-found');
  assert.equal(conf.node['CLUSTER_TYPE'], 'k8s,bgp', 'defaults stay beside them');
});

test('no values, empty values and the defaults are the same', () => {
  assert.deepEqual(accepted(null), defaults());
  assert.deepEqual(accepted({}), defaults());
  assert.deepEqual(accepted(defaults() as unknown as Json), defaults());
});

test('every spelling of a switch', () => {
  for (const on of ['on', 'On', 'ON', 'yes', 'YES', 'true', 'True', true]) {
    assert.equal(
      isOn(accepted({ networking: { settings: { mesh: on } } }).networking.settings.mesh),
      true,
    );
  }
  for (const off of ['off', 'OFF', 'no', 'No', 'false', 'False', false]) {
    assert.equal(
      isOn(accepted({ networking: { settings: { mesh: off } } }).networking.settings.mesh),
      false,
    );
  }
});

test('settings at the edges of what is good', () => {
  const good: Json[] = [
    { networking: { podSubnet: '11.0.0.0/8', mtu: 576, bgp: { asnumber: 1 } } },
    { networking: { podSubnet: '10.0.0.0/8' }, etcd: { clusterIP: '172.20.0.9' } },
    {
      networking: {
        pools: [
          { name: 'a', cidr: '192.167.0.0/16', blockSize: 28, vxlanMode: 'CrossSubnet' },
          { name: 'b', cidr: 'fd00:10::/64', blockSize: 122, namespaceSelector: 'all()' },
        ],
        bgp: {
          ipv4: {
            peers: [
              {
                apiVersion: 'projectcalico.org/v3',
                kind: 'BGPPeer',
                metadata: { name: 'tor' },
                spec: { peerIP: '10.0.0.1:1790', asNumber: 4200000000, node: 'n1' },
              },
            ],
            community_cidr_ref: { blue: { cidr: '192.168.0.0/18', community: 100, prefix: 64512 } },
            port: { listen: 1790, neighbor: 179 },
          },
          ipv6: null,
        },
        policy: {
          first: {
            priority: 0,
            rules: [
              {
                apiVersion: 'projectcalico.org/v3',
                kind: 'GlobalNetworkPolicy',
                metadata: { name: 'deny' },
                spec: { selector: 'all()' },
              },
            ],
          },
        },
      },
    },
    { networking: { podSubnet: '255.255.255.255/32', mtu: 65535, bgp: { asnumber: 4294967295 } } },
    { networking: { bgp: { ipv4: {}, ipv6: null } } },
    { conf: { node: { IP_AUTODETECTION_METHOD: 'can-reach=8.8.8.8' } } },
    { conf: { node: { IP_AUTODETECTION_METHOD: 'interface=eth[0-9],ens.*' } } },
    { conf: { node: { FELIX_IPINIPMTU: null, FELIX_ROUTEREFRESHINTERVAL: 90, IP: '' } } },
    {
      conf: {
        node: {
          IP6_AUTODETECTION_METHOD: 'first-found',
          IPV6_AUTODETECTION_METHOD: 'first-found',
        },
      },
    },
    { images: { node: `registry.example:5000/a/b@sha256:${'0'.repeat(64)}` } },
    { etcd: { enabled: false, endpoints: 'http://10.0.2.6:2379,http://etcd.example:2379/' } },
    { etcd: { enabled: false, endpoints: 'http://[2001:db8::1]:2379' } },
    { global: { anything: [1, 'a'] } },
  ];
  for (const values of good) accepted(values);
});

test('null takes a default away', () => {
  const { conf } = accepted({ conf: { node: { CLUSTER_TYPE: null } } });
  assert.equal('CLUSTER_TYPE' in conf.node, false);
});

for (const { values, faults } of badSettings) {
  test(`refused: ${JSON.stringify(values)}`, () => {
    const result = settingsFrom(values);
    assert.deepEqual(result.ok ? 'accepted' : result.error, faults);
  });
}

test('no setting takes a secret: only names of Secrets, and of keys in them', () => {
  const named = (part: SchemaPart, path: string): readonly string[] => [
    ...Object.entries(part.properties ?? {}).flatMap(([name, inner]) => {
      const here = path === '' ? name : `${path}.${name}`;
      return [
        ...(/secret|passw|token|credential|private|keys?$|crt|pem/i.test(name) ? [here] : []),
        ...named(inner, here),
      ];
    }),
    ...(part.items ? named(part.items, `${path}[]`) : []),
    ...(typeof part.additionalProperties === 'object'
      ? named(part.additionalProperties, `${path}.*`)
      : []),
  ];
  const reference = (path: string) => [path, `${path}.secretKeyRef`, `${path}.secretKeyRef.key`];
  assert.deepEqual(named(schemaPart, ''), [
    ...reference('networking.bgp.ipv4.peers[].spec.password'),
    ...reference('networking.bgp.ipv6.peers[].spec.password'),
    ...reference('bgpConfiguration.nodeMeshPassword'),
    'images.pull_secrets',
    'etcd.tls.secret',
    // Of taints.
    ...['calico_node', 'kube_controllers', 'etcd'].map((part) => `pod.${part}.tolerations[].key`),
  ]);
});

test('names of the language are data', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    for (const values of [`{"${name}": {}}`, `{"networking": {"${name}": {"mtu": 5}}}`]) {
      const result = settingsFrom(JSON.parse(values) as Json);
      assert.match(String(result.ok || result.error), new RegExp(`"${name}" is not a setting`));
    }
  }
});

test('values that are no map', () => {
  for (const values of ['text', 5, [], true]) {
    const result = settingsFrom(values);
    assert.deepEqual(result.ok || result.error, ['values: not a map of settings']);
  }
});
