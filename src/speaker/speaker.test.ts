import assert from 'node:assert/strict';
import { test } from 'node:test';
import { affinityKey, namespacedKey, resourceKey } from '../model/keys.ts';
import { BACKEND_ANNOTATION } from '../model/node.ts';
import { workloadEndpointName } from '../model/workload-endpoint.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { DEFAULT_HOLD_TIME_SECONDS, parseEnvironment } from './environment.ts';
import { readinessOf, readinessText } from './operation/readiness.ts';
import { demandOf } from './resources/demand.ts';
import { isToldAlone, ownRoutesOf } from './resources/own.ts';
import { concerns, isInSync, newView, PARTS, takeChanges, takeListing } from './resources/view.ts';

const item = (key: string, value: string | object) => ({
  key,
  value: typeof value === 'string' ? value : JSON.stringify(value),
  revision: 1n,
});
const resource = (
  kind: string,
  plural:
    | 'nodes'
    | 'ippools'
    | 'bgpconfigurations'
    | 'bgppeers'
    | 'profiles'
    | 'felixconfigurations',
  name: string,
  spec: object,
) =>
  item(resourceKey(plural, name), {
    kind,
    apiVersion: 'projectcalico.org/v3',
    metadata: { name },
    spec,
  });
const node = (name: string, ipv4Address: string) =>
  resource('Node', 'nodes', name, { bgp: { ipv4Address } });
const affinity = (owner: string, block: string, value: object | string = { state: 'confirmed' }) =>
  item(affinityKey(owner, cidr(block)), value);

function view(...items: ReturnType<typeof item>[]) {
  const made = newView('n1');
  for (const part of PARTS) takeListing(made, part, []);
  const problems = takeChanges(
    made,
    items.map((i) => ({ kind: 'put', item: i })),
  );
  return { view: made, problems };
}

test('the demand: peers, own confirmed blocks, pools, AS and port', () => {
  const { view: made, problems } = view(
    node('n1', '10.200.0.11/24'),
    node('n2', '10.200.0.12/24'),
    affinity('n1', '192.168.1.0/26'),
    affinity('n1', '192.168.2.0/26', { state: 'pending' }),
    affinity('n1', '192.168.3.0/26', ''),
    affinity('n2', '192.168.4.0/26'),
    resource('IPPool', 'ippools', 'p', { cidr: '192.168.0.0/16', ipipMode: 'Always' }),
    resource('BGPConfiguration', 'bgpconfigurations', 'default', { asNumber: 65001 }),
    resource('BGPConfiguration', 'bgpconfigurations', 'node.n2', { listenPort: 1179 }),
  );
  const demand = demandOf(made);
  assert.deepEqual(problems, []);
  assert.equal(demand.localAsn, 65001);
  assert.deepEqual(ownRoutesOf(made).announced, ['192.168.1.0/26', '192.168.3.0/26']);
  assert.deepEqual(
    demand.peers.map((p) => [p.name, p.port, p.passive]),
    [['Mesh_10_200_0_12', 1179, true]],
  );
  assert.equal(demand.pools[0]?.ipip, 'Always');
});

const endpoint = (of: string, pod: string, spec: object | string) => {
  const name = workloadEndpointName({
    node: of,
    orchestrator: 'k8s',
    workload: pod,
    endpoint: 'e',
  });
  return item(
    namespacedKey('workloadendpoints', 'default', name),
    typeof spec === 'string' ? spec : { kind: 'WorkloadEndpoint', metadata: { name }, spec },
  );
};

test('whose routes are the speaker’s: BGPConfiguration, FelixConfiguration and the environment', () => {
  const owners = (environment: string | undefined, ...more: ReturnType<typeof item>[]) => {
    const made = newView('n1', environment);
    const pool = (name: string, spec: object) => resource('IPPool', 'ippools', name, spec);
    const items = [
      ...more,
      pool('i', { cidr: '192.168.0.0/16', ipipMode: 'CrossSubnet' }),
      pool('n', { cidr: '10.1.0.0/16' }),
      pool('v', { cidr: '10.2.0.0/16', vxlanMode: 'Always' }),
    ];
    takeChanges(
      made,
      items.map((i) => ({ kind: 'put', item: i })),
    );
    return demandOf(made).pools.map(({ owner }) => owner);
  };
  const bgp = (programClusterRoutes: string) =>
    resource('BGPConfiguration', 'bgpconfigurations', 'default', { programClusterRoutes });
  const felix = (name: string, programClusterRoutes: string) =>
    resource('FelixConfiguration', 'felixconfigurations', name, { programClusterRoutes });
  assert.deepEqual(owners(undefined), ['speaker', 'speaker', 'agent']);
  assert.deepEqual(owners(undefined, bgp('EnabledNoEncapOnly')), ['agent', 'speaker', 'agent']);
  const both = [felix('default', 'Enabled'), felix('node.n1', 'EnabledIPIPOnly')];
  assert.deepEqual(owners(undefined, ...both), ['agent', 'speaker', 'agent']);
  assert.deepEqual(owners('Disabled', ...both), ['speaker', 'speaker', 'agent']);
  assert.deepEqual(owners('Disabled', bgp('Disabled')), ['nobody', 'nobody', 'agent']);
});

test('endpoints: only the own node’s are kept, also where one node’s name begins another’s', () => {
  const pods = [
    endpoint('n1', 'p', { ipNetworks: ['192.168.9.1/32', 'fd00::1/128'] }),
    endpoint('n1-x', 'p', { ipNetworks: ['192.168.9.2/32'] }),
    endpoint('n2', 'p', { ipNetworks: ['192.168.9.3/32'] }),
    endpoint('n1', 'q', { ipNetworks: ['x'] }),
    endpoint('n1', 'r', '{'),
  ];
  const made = newView('n1');
  assert.equal(takeListing(made, 'workloadendpoints', pods).length, 2);
  const addresses = () => [...made.endpoints.values()].flatMap((found) => found.addresses);
  assert.deepEqual(addresses(), ['192.168.9.1/32', 'fd00::1/128']);
  const changes = pods.map((p) => ({ kind: 'put', item: p }) as const);
  assert.deepEqual(
    changes.map((change) => concerns(made, change)),
    [true, false, false, true, true],
  );
  takeChanges(made, [{ kind: 'delete', key: pods[0]!.key, revision: 2n }]);
  assert.deepEqual(addresses(), []);
  takeListing(made, 'workloadendpoints', []);
  assert.equal(made.endpoints.size, 0);
});

test('a pod is selected as a peer by the labels that its profiles hand down too', () => {
  const { view: made } = view(
    node('n1', '10.200.0.11/24'),
    resource('BGPConfiguration', 'bgpconfigurations', 'default', {
      localWorkloadPeeringIPV4: '169.254.0.179',
    }),
    resource('BGPPeer', 'bgppeers', 'p', {
      localWorkloadSelector: "pcns.team == 'red' && color == 'light'",
      asNumber: 65401,
    }),
    endpoint('n1', 'p', { ipNetworks: ['192.168.9.1/32'], profiles: ['kns.a', 'ksa.a.b'] }),
    endpoint('n1', 'q', { ipNetworks: ['192.168.9.2/32'], profiles: ['kns.b'] }),
  );
  const profile = (name: string, labelsToApply: object) =>
    takeChanges(made, [
      { kind: 'put', item: resource('Profile', 'profiles', name, { labelsToApply }) },
    ]);
  const peers = () => demandOf(made).peers.map(({ workload }) => workload?.name);
  assert.deepEqual(peers(), []);
  profile('kns.a', { 'pcns.team': 'red', color: 'light' });
  profile('kns.b', { 'pcns.team': 'red' });
  profile('ksa.a.b', { color: 'dark' });
  assert.deepEqual(peers(), ['default/p'], 'the first profile wins');
  takeChanges(made, [{ kind: 'delete', key: resourceKey('profiles', 'kns.a'), revision: 2n }]);
  assert.deepEqual(peers(), []);
});

test('told alone: an address in no block of the node, or in one of its size', () => {
  const { view: made } = view(affinity('n1', '192.168.1.0/26'), affinity('n1', '192.168.9.9/32'));
  const alone = ['192.168.1.7/32', '192.168.2.7/32', '192.168.9.9/32'].map((a) =>
    isToldAlone(made, cidr(a)),
  );
  assert.deepEqual(alone, [false, true, true]);
});

test('the own node’s tunnel addresses are its own as a pod’s are', () => {
  const bgp = { ipv4Address: '10.200.0.11/24', ipv4IPIPTunnelAddr: '192.168.7.1' };
  const { view: made } = view(
    resource('Node', 'nodes', 'n1', { bgp }),
    resource('IPPool', 'ippools', 'p', { cidr: '192.168.0.0/16' }),
  );
  assert.deepEqual(ownRoutesOf(made).announced, ['192.168.7.1/32']);
  takeListing(made, 'nodes', []);
  assert.deepEqual(ownRoutesOf(made).announced, []);
});

test('what cannot be read is as good as absent, and is named', () => {
  const { view: made, problems } = view(
    node('n1', '10.200.0.11/24'),
    node('n2', '10.200.0.12/24'),
    item(resourceKey('nodes', 'n2'), '{'),
    affinity('n1', '192.168.1.0/26', '[1]'),
    resource('IPPool', 'ippools', 'p', { cidr: 'x' }),
  );
  assert.equal(problems.length, 3);
  const demand = demandOf(made);
  assert.deepEqual([demand.peers, ownRoutesOf(made).announced, demand.pools], [[], [], []]);
});

test('a new listing forgets what it does not hold; in sync when all parts are listed', () => {
  const fresh = newView('n1');
  takeListing(fresh, 'nodes', [node('n1', '10.0.0.1'), node('n2', '10.0.0.2')]);
  assert.equal(isInSync(fresh), false);
  for (const part of PARTS) takeListing(fresh, part, []);
  assert.equal(isInSync(fresh), true);
  assert.equal(demandOf(fresh).self, undefined);
});

test('the mesh can be switched off, and a deleted block is no longer demanded', () => {
  const off = { nodeToNodeMeshEnabled: false };
  const { view: made } = view(
    node('n1', '10.200.0.11/24'),
    node('n2', '10.200.0.12/24'),
    affinity('n1', '192.168.1.0/26'),
    resource('BGPConfiguration', 'bgpconfigurations', 'default', off),
  );
  assert.deepEqual(demandOf(made).peers, []);
  const key = affinityKey('n1', cidr('192.168.1.0/26'));
  takeChanges(made, [{ kind: 'delete', key, revision: 2n }]);
  assert.deepEqual(ownRoutesOf(made).announced, []);
});

const peerAt = (node: string, address: string) => ({
  kind: 'mesh' as const,
  node,
  address: ip(address),
});
const READY = {
  inSync: true,
  node: 'n1',
  self: { name: 'n1', ipv4: { ip: ip('10.0.0.1'), prefixLength: 24 } },
  listenErrors: [],
  peers: [
    { peer: peerAt('n2', '10.0.0.2'), state: 'established' as const },
    { peer: peerAt('n3', '10.0.0.3'), state: 'active' as const },
  ],
  upForMs: 1000,
};
test('readiness names what is missing', () => {
  const missing = ['BIRD is not ready: BGP not established with 10.0.0.3'];
  assert.deepEqual(readinessOf(READY), { ready: false, problems: missing });
  assert.deepEqual(readinessOf({ ...READY, upForMs: 31_000 }), { ready: true, problems: missing });
  assert.deepEqual(readinessOf({ ...READY, peers: [] }), { ready: true, problems: [] });
  assert.deepEqual(readinessOf({ ...READY, self: undefined, peers: [] }), {
    ready: false,
    problems: ['waiting for Node n1 in the datastore'],
  });
  const alone = READY.peers.slice(1);
  assert.equal(readinessOf({ ...READY, peers: alone, upForMs: 60_000 }).ready, false);
  const six = { peer: peerAt('n3', 'fd00::3'), state: 'active' as const };
  assert.equal(
    readinessText(readinessOf({ ...READY, peers: [...alone, six] })),
    `calico/node is not ready: BIRD is not ready: BGP not established with 10.0.0.3
calico/node is not ready: BIRD6 is not ready: BGP not established with fd00::3`,
  );
  assert.equal(readinessText({ ready: true, problems: [] }), 'ready');
  const up = READY.peers.map((peer) => ({ ...peer, state: 'established' as const }));
  const restarting = { ...READY, peers: up, restarting: [6 as const] };
  const words = ['BIRD6 is not ready: graceful restart in progress'];
  assert.deepEqual(readinessOf(restarting), { ready: false, problems: words });
  assert.deepEqual(readinessOf({ ...restarting, upForMs: 31_000 }), {
    ready: true,
    problems: words,
  });
});

test('a node that says that no speaker runs there is not waited for', () => {
  const waiting = (silent: readonly string[], upForMs = 60_000, peers = READY.peers) =>
    readinessOf({ ...READY, peers, upForMs, silent: new Set(silent) });
  const none = READY.peers.map((peer) => ({ ...peer, state: 'active' as const }));
  assert.equal(waiting([], 60_000, none).ready, false);
  // The first of three that goes over to BGP, then the second, whose peer n2 has a speaker by then.
  assert.deepEqual(waiting(['n2', 'n3'], 1000, none), { ready: true, problems: [] });
  assert.deepEqual(waiting(['n3'], 1000), { ready: true, problems: [] });
  assert.equal(waiting(['n3'], 60_000, none).ready, false);
  // One that is up counts, whatever its node says.
  assert.equal(waiting(['n2'], 60_000).ready, true);
  const alone = { ...READY.peers[1]!, peer: { ...READY.peers[1]!.peer, node: undefined } };
  assert.equal(waiting(['n3'], 60_000, [alone as never]).ready, false);

  const silent = item(resourceKey('nodes', 'n2'), {
    kind: 'Node',
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: 'n2', annotations: { [BACKEND_ANNOTATION]: 'vxlan' } },
    spec: { bgp: { ipv4Address: '10.200.0.12/24' } },
  });
  const { view: made } = view(node('n1', '10.200.0.11/24'), silent);
  const demand = demandOf(made);
  assert.deepEqual([...demand.silent], ['n2']);
  assert.equal(demand.peers.length, 1, 'its session is tried all the same');
  takeChanges(made, [{ kind: 'put', item: node('n2', '10.200.0.12/24') }]);
  assert.deepEqual([...demandOf(made).silent], []);
});

test('environment: defaults, and one sentence for what cannot be used', () => {
  const good = { ETCD_ENDPOINTS: 'http://10.96.232.136:6666', NODENAME: 'n1' };
  const parsed = parseEnvironment(good);
  assert(parsed.ok);
  assert.deepEqual(
    [parsed.value.holdTimeSeconds, parsed.value.healthPort, parsed.value.routerId],
    [DEFAULT_HOLD_TIME_SECONDS, 9098, undefined],
  );
  const wrong = (env: object) => {
    const result = parseEnvironment({ ...good, ...env });
    return result.ok ? '' : result.error;
  };
  assert.match(wrong({ ETCD_ENDPOINTS: '' }), /^ETCD_ENDPOINTS/);
  assert.match(wrong({ NODENAME: '' }), /^NODENAME/);
  assert.match(wrong({ BGP_HOLD_TIME_SECONDS: '2' }), /'2' must be a whole number from 3 to 65535/);
  assert.match(wrong({ CALICO_ROUTER_ID: 'fd00::1' }), /^CALICO_ROUTER_ID/);
  assert.equal(wrong({ CALICO_ROUTER_ID: 'hash' }), '');
});
