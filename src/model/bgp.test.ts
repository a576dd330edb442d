import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../base/json.ts';
import { parseCommunity, printCommunity } from '../net/community.ts';
import { parseBgpConfiguration } from './bgp-configuration.ts';
import { parseBgpFilter } from './bgp-filter.ts';
import { parseBgpPeer } from './bgp-peer.ts';

const peer = (spec: object, annotations: object = {}) =>
  parseBgpPeer('p', { metadata: { name: 'p', annotations }, spec: spec as Json });
const problemOf = (spec: object, annotations?: object): string => {
  const parsed = peer(spec, annotations);
  return parsed.ok ? '' : parsed.error;
};
const good = (spec: object, annotations?: object) => {
  const parsed = peer(spec, annotations);
  assert(parsed.ok, parsed.ok ? '' : parsed.error);
  return parsed.value;
};

test('communities: both forms, bounds, and the round trip', () => {
  assert.deepEqual(parseCommunity('65535:0'), { kind: 'standard', value: 0xffff0000 });
  assert.deepEqual(parseCommunity('4294967295:0:1'), { kind: 'large', value: [4294967295, 0, 1] });
  for (const bad of [
    '',
    '1',
    '65536:1',
    '1:65536',
    '1:2:4294967296',
    '1:2:3:4',
    'a:b',
    '1:-1',
    ':',
  ])
    assert.equal(parseCommunity(bad), undefined, bad);
  const parts = fc.oneof(
    fc.tuple(fc.nat(65535), fc.nat(65535)),
    fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(0xffffffff)),
  );
  fc.assert(
    fc.property(parts, (p) => printCommunity(parseCommunity(p.join(':'))!) === p.join(':')),
  );
});

test('BGPPeer: every field', () => {
  const full = good(
    {
      nodeSelector: "rack == 'r1'",
      peerIP: '[fd00::1]:1179',
      asNumber: '1.10',
      localASNumber: 65001,
      nextHopMode: 'Self',
      password: { secretKeyRef: { name: 's', key: 'k' } },
      sourceAddress: 'None',
      maxRestartTime: '2m30s',
      keepaliveTime: '10s',
      numAllowedLocalASNumbers: 2,
      ttlSecurity: 1,
      reachableBy: 'fd00::ff',
      filters: ['a', 'b'],
      reversePeering: 'Manual',
      someNewField: { x: 1 },
    },
    {
      'calico-kit.io/bfd': 'transmit=50ms,multiplier=5',
      'calico-kit.io/hold-time': '9s',
      'calico-kit.io/long-lived-time': '3600s',
      'calico-kit.io/max-prefixes': '1000',
      'calico-kit.io/explicit-policy': 'true',
      'calico-kit.io/families': 'ipv4,ipv6',
    },
  );
  assert.deepEqual(
    { ...full, local: undefined },
    {
      name: 'p',
      local: undefined,
      remote: { kind: 'address', address: 'fd00::1', port: 1179, asn: 65546 },
      reverse: false,
      localAsn: 65001,
      nextHopMode: 'self',
      password: { name: 's', key: 'k' },
      sourceAddress: 'none',
      maxRestartSeconds: 150,
      keepaliveSeconds: 10,
      allowLocalAsns: 2,
      ttlSecurityHops: 1,
      reachableBy: 'fd00::ff',
      filters: ['a', 'b'],
      wishes: {
        bfd: { transmitMs: 50, receiveMs: 150, multiplier: 5 },
        holdTimeSeconds: 9,
        longLivedSeconds: 3600,
        maxPrefixes: 1000,
        explicitPolicy: true,
        families: [4, 6],
      },
    },
  );
  assert.equal(full.local.kind, 'selected');
});

test('BGPPeer: what is left out, and the empty values that Go writes', () => {
  const least = good({
    peerIP: '10.0.0.1',
    node: '',
    nodeSelector: '',
    filters: null,
    asNumber: 1,
  });
  assert.deepEqual(least.local, { kind: 'all' });
  assert.deepEqual(
    [least.sourceAddress, least.nextHopMode, least.reverse, least.ttlSecurityHops],
    ['useNodeIp', 'auto', true, undefined],
  );
  assert.equal(good({ peerIP: '10.0.0.1', keepOriginalNextHop: true }).nextHopMode, 'keep');
  assert.equal(good({ peerIP: '10.0.0.1', ttlSecurity: 0 }).ttlSecurityHops, undefined);
  assert.equal(good({ node: 'n1', peerSelector: 'all()' }).remote.kind, 'selected');
});

const BAD_PEERS: readonly (readonly [RegExp, object, object?])[] = [
  [/peerIP, peerSelector or localWorkloadSelector must be given/, {}],
  [/'10\.0\.0' is no address/, { peerIP: '10.0.0' }],
  [/is no address/, { peerIP: '10.0.0.1:0' }],
  [/is no address/, { peerIP: '10.0.0.1:65536' }],
  [/is no address/, { peerIP: '[10.0.0.1]:179' }],
  [/asNumber: '0' is no AS number/, { peerIP: '10.0.0.1', asNumber: 0 }],
  [/node and nodeSelector exclude/, { peerIP: '10.0.0.1', node: 'a', nodeSelector: 'all()' }],
  [/peerSelector excludes/, { peerSelector: 'all()', asNumber: 1 }],
  [/peerSelector excludes/, { peerSelector: 'all()', peerIP: '10.0.0.1' }],
  [/column 3 of selector/, { peerSelector: 'a ?' }],
  [/exclude each other/, { peerIP: '10.0.0.1', keepOriginalNextHop: true, nextHopMode: 'Auto' }],
  [/nextHopMode: 'self' is no one of/, { peerIP: '10.0.0.1', nextHopMode: 'self' }],
  [/needs name and key/, { peerIP: '10.0.0.1', password: {} }],
  [/needs name and key/, { peerIP: '10.0.0.1', password: { secretKeyRef: { name: 'x' } } }],
  [/maxRestartTime: 5000s is not within/, { peerIP: '10.0.0.1', maxRestartTime: '5000s' }],
  [/'1d' is no duration/, { peerIP: '10.0.0.1', maxRestartTime: '1d' }],
  [/ttlSecurity: '256'/, { peerIP: '10.0.0.1', ttlSecurity: 256 }],
  [/reachableBy needs a peerIP/, { peerSelector: 'all()', reachableBy: '10.0.0.9' }],
  [/not of the family/, { peerIP: '10.0.0.1', reachableBy: 'fd00::1' }],
  [/filters\[0\]: '1' is no name/, { peerIP: '10.0.0.1', filters: [1] }],
  [
    /localWorkloadSelector excludes peerIP/,
    { peerIP: '10.0.0.1', asNumber: 1, localWorkloadSelector: 'all()' },
  ],
  [
    /localWorkloadSelector excludes peerIP and peerSelector/,
    { peerSelector: 'all()', asNumber: 1, localWorkloadSelector: 'all()' },
  ],
  [/localWorkloadSelector needs an asNumber/, { localWorkloadSelector: 'all()' }],
  [/column 3 of selector/, { localWorkloadSelector: 'a ?', asNumber: 1 }],
  [/is no BFD setting/, { peerIP: '10.0.0.1' }, { 'calico-kit.io/bfd': 'transmit=5ms' }],
  [/is no time such as/, { peerIP: '10.0.0.1' }, { 'calico-kit.io/long-lived-time': '1h' }],
  [/is no list of/, { peerIP: '10.0.0.1' }, { 'calico-kit.io/families': 'v4' }],
  [/is no hold time/, { peerIP: '10.0.0.1' }, { 'calico-kit.io/hold-time': '2s' }],
];
for (const [wanted, spec, annotations] of BAD_PEERS)
  test(`BGPPeer refused: ${wanted.source}: ${JSON.stringify(spec)}`, () => {
    assert.match(problemOf(spec, annotations), wanted);
  });

test('BGPFilter: matches and operations', () => {
  const parsed = parseBgpFilter('f', {
    importV4: [
      { cidr: '10.0.0.0/8', matchOperator: 'In', prefixLength: { min: 16 }, action: 'Reject' },
      { cidr: '10.1.0.0/16', matchOperator: 'Equal', action: 'Accept' },
    ],
    exportV4: [
      {
        action: 'Accept',
        source: 'RemotePeers',
        interface: 'eth*',
        peerType: 'eBGP',
        communities: { values: ['64512:1'] },
        asPathPrefix: [65000, '65001'],
        priority: 512,
        operations: [
          { addCommunity: { value: '1:2:3' } },
          { prependASPath: { prefix: [65000, 65001] } },
          { setPriority: { value: 1024 } },
        ],
      },
    ],
    importV6: [{ action: 'Reject' }],
  });
  assert(parsed.ok);
  assert.deepEqual(parsed.value, {
    name: 'f',
    importV4: [
      {
        match: {
          prefix: { cidr: '10.0.0.0/8', operator: 'in', lengthMin: 16, lengthMax: 32 },
        },
        action: 'reject',
        operations: [],
      },
      {
        match: {
          prefix: { cidr: '10.1.0.0/16', operator: 'equal', lengthMin: 16, lengthMax: 16 },
        },
        action: 'accept',
        operations: [],
      },
    ],
    exportV4: [
      {
        match: {
          fromRemotePeers: true,
          interface: 'eth*',
          peerType: 'eBGP',
          community: { kind: 'standard', value: 64512 * 65536 + 1 },
          asPathPrefix: [65000, 65001],
          priority: 512,
        },
        action: 'accept',
        operations: [
          { kind: 'addCommunity', community: { kind: 'large', value: [1, 2, 3] } },
          { kind: 'prependAsPath', asns: [65000, 65001] },
          { kind: 'setPriority', priority: 1024 },
        ],
      },
    ],
    importV6: [{ match: {}, action: 'reject', operations: [] }],
    exportV6: [],
  });
});

const BAD_RULES: readonly (readonly [RegExp, Json])[] = [
  [/importV4\[0\]\.action must be/, {}],
  [/go together/, { action: 'Accept', cidr: '10.0.0.0/8' }],
  [/go together/, { action: 'Accept', matchOperator: 'In' }],
  [/is no IPv4 CIDR/, { action: 'Accept', cidr: 'fd00::/8', matchOperator: 'In' }],
  [/go with Accept only/, { action: 'Reject', operations: [{ setPriority: { value: 1 } }] }],
  [/exactly one operation/, { action: 'Accept', operations: [{}] }],
  [/no usable value/, { action: 'Accept', operations: [{ setPriority: { value: 0 } }] }],
  [/exactly one community/, { action: 'Accept', communities: { values: ['1:1', '1:2'] } }],
  [/needs a cidr/, { action: 'Accept', prefixLength: { min: 1 } }],
];
for (const [wanted, rule] of BAD_RULES)
  test(`BGPFilter refused: ${wanted.source}: ${JSON.stringify(rule)}`, () => {
    const parsed = parseBgpFilter('f', { importV4: [rule] });
    assert.match(parsed.ok ? '' : parsed.error, wanted);
  });

test('BGPConfiguration: fields, communities by name and by value, what is unreadable', () => {
  const configuration = (spec: object, named = {}) =>
    parseBgpConfiguration('default', { metadata: {}, spec: spec as Json }, named);
  const { settings, problems } = configuration({
    asNumber: 65001,
    listenPort: 1179,
    bindMode: 'NodeIP',
    nodeToNodeMeshEnabled: false,
    nodeMeshPassword: { secretKeyRef: { name: 's', key: 'k' } },
    nodeMeshMaxRestartTime: '90s',
    serviceClusterIPs: [{ cidr: '10.96.0.0/12' }],
    serviceLoadBalancerAggregation: 'Disabled',
    communities: [{ name: 'blue', value: '64512:7' }],
    prefixAdvertisements: [
      { cidr: '192.168.0.0/16', communities: ['blue', '1:2:3'] },
      { cidr: '192.169.0.0/16', communities: ['red'] },
    ],
    ignoredInterfaces: ['docker0'],
  });
  assert.deepEqual(settings.prefixAdvertisements, [
    { cidr: '192.168.0.0/16', communities: [parseCommunity('64512:7'), parseCommunity('1:2:3')] },
  ]);
  assert.deepEqual(problems, [
    'BGPConfiguration default: prefixAdvertisements[1].communities: a community is neither known nor a value',
  ]);
  const { meshEnabled, asn, listenPort, bindMode, nodeMeshMaxRestartSeconds } = settings;
  assert.deepEqual(
    [meshEnabled, asn, listenPort, bindMode, nodeMeshMaxRestartSeconds, settings.unreadable],
    [false, 65001, 1179, 'nodeIp', 90, []],
  );
  assert.equal(settings.serviceLoadBalancerAggregation, false);
  assert.deepEqual(configuration({ asNumber: 'x' }).settings.unreadable, ['asNumber']);
  assert.deepEqual(configuration({ nodeMeshPassword: {} }).settings.unreadable, ['mesh']);
  assert.deepEqual(configuration({ nodeToNodeMeshEnabled: 'no' }).settings.unreadable, ['mesh']);
  const advertised = { prefixAdvertisements: [{ cidr: '10.0.0.0/8', communities: ['blue'] }] };
  const blue = { blue: parseCommunity('1:1') };
  assert.equal(configuration(advertised, blue).settings.prefixAdvertisements.length, 1);
});
