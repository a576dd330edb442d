// The controllers on the memory twins of both ports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../base/clock.io.ts';
import { openLog } from '../base/log.io.ts';
import { memoryStore } from '../datastore/memory.ts';
import { addPool, audited, open, request } from '../ipam/allocator.cases.ts';
import { memoryKubernetes } from '../kubernetes/memory.ts';
import { namespacedKey, resourceKey } from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import { problemsOf } from './controller.ts';
import { DatastoreMirror } from './datastore-mirror.io.ts';
import { controllersSettings } from './environment.ts';
import { nodeController } from './nodes.io.ts';
import {
  namespaceController,
  policyController,
  serviceAccountController,
} from './profiles-and-policies.io.ts';
import { settingsController } from './settings/settings.io.ts';
import { clusterSettings, SETTINGS_KEYS, wantedSettings } from './settings/settings.ts';
import { workloadEndpointController } from './workload-endpoints.io.ts';

function world() {
  const stop = new AbortController();
  const parts = {
    store: memoryStore(),
    kubernetes: memoryKubernetes(),
    mirror: new DatastoreMirror(),
    clock: systemClock,
    log: openLog('test', 'fatal'),
    signal: stop.signal,
  };
  return {
    ...parts,
    start: () => parts.mirror.follow(parts.store, parts.log, stop.signal),
    stop: () => stop.abort(),
  };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await setImmediate();
};

const spec = async (w: ReturnType<typeof world>, key: string): Promise<Record<string, unknown>> =>
  (
    JSON.parse((await w.store.get(key))?.value ?? '{"spec":null}') as {
      spec: Record<string, unknown>;
    }
  ).spec;

test('namespaces and service accounts become profiles, follow changes, and go', async () => {
  const w = world();
  const stale = resourceKey('profiles', 'kns.stale');
  const foreign = resourceKey('profiles', 'mine');
  for (const key of [stale, foreign])
    w.store.put(
      key,
      printResource({
        kind: 'Profile',
        apiVersion: API_VERSION,
        metadata: { name: 'x' },
        spec: {},
      }),
    );
  w.kubernetes.put('namespaces', { metadata: { name: 'default', labels: { team: 'blue' } } });
  w.kubernetes.put('serviceaccounts', { metadata: { name: 'sa', namespace: 'default' } });
  namespaceController(w);
  serviceAccountController(w);
  w.start();
  await settled();
  assert.deepEqual(await spec(w, resourceKey('profiles', 'kns.default')), {
    ingress: [{ action: 'Allow', source: {}, destination: {} }],
    egress: [{ action: 'Allow', source: {}, destination: {} }],
    labelsToApply: { 'pcns.team': 'blue', 'pcns.projectcalico.org/name': 'default' },
  });
  assert.deepEqual(await spec(w, resourceKey('profiles', 'ksa.default.sa')), {
    labelsToApply: { 'pcsa.projectcalico.org/name': 'sa' },
  });
  assert.equal(await w.store.get(stale), undefined);
  assert.ok(await w.store.get(foreign), 'foreign profiles are not touched');
  w.kubernetes.put('namespaces', { metadata: { name: 'default', labels: { team: 'red' } } });
  await settled();
  assert.deepEqual((await spec(w, resourceKey('profiles', 'kns.default')))['labelsToApply'], {
    'pcns.team': 'red',
    'pcns.projectcalico.org/name': 'default',
  });
  w.kubernetes.remove('namespaces', 'default');
  await settled();
  assert.equal(await w.store.get(resourceKey('profiles', 'kns.default')), undefined);
  w.stop();
});

test('what somebody else deletes or changes comes back; an equal object is not written again', async () => {
  const w = world();
  const key = resourceKey('profiles', 'kns.default');
  w.kubernetes.put('namespaces', { metadata: { name: 'default' } });
  namespaceController(w);
  w.start();
  await settled();
  const writes = w.store.calls.transaction;
  w.kubernetes.put('namespaces', { metadata: { name: 'default' } });
  await settled();
  assert.equal(w.store.calls.transaction, writes);
  w.store.delete(key);
  await settled();
  assert.ok(await w.store.get(key));
  w.stop();
});

test('a failed write is tried again', async (t) => {
  const w = world();
  const warned = Promise.withResolvers<void>();
  t.mock.method(w.log, 'warn', () => warned.resolve());
  w.kubernetes.put('namespaces', { metadata: { name: 'default' } });
  w.store.failNext('transaction');
  const controller = namespaceController(w);
  w.start();
  await warned.promise;
  assert.equal(controller.failing.length, 1);
  while (controller.failing.length > 0) await setImmediate();
  assert.ok(await w.store.get(resourceKey('profiles', 'kns.default')));
  w.stop();
});

test('network policies: stored under knp.default, deleted with their source', async () => {
  const w = world();
  const key = namespacedKey('networkpolicies', 'default', 'knp.default.web');
  w.kubernetes.put('networkpolicies', {
    metadata: { name: 'web', namespace: 'default' },
    spec: { podSelector: {} },
  });
  policyController(w);
  w.start();
  await settled();
  assert.deepEqual((await spec(w, key))['types'], ['Ingress']);
  w.kubernetes.remove('networkpolicies', 'web', 'default');
  await settled();
  assert.equal(await w.store.get(key), undefined);
  w.stop();
});

test('policies of a namespace that is being deleted stay until it is gone, also over a restart', async () => {
  const w = world();
  const key = namespacedKey('networkpolicies', 'shop', 'knp.default.web');
  const policy = { metadata: { name: 'web', namespace: 'shop' }, spec: { podSelector: {} } };
  w.kubernetes.put('namespaces', { metadata: { name: 'shop' } });
  w.kubernetes.put('networkpolicies', policy);
  policyController(w);
  w.start();
  await settled();
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  w.kubernetes.put('namespaces', { metadata: { name: 'shop', deletionTimestamp } });
  w.kubernetes.remove('networkpolicies', 'web', 'shop');
  await settled();
  assert.ok(await w.store.get(key));
  const restarted = { ...w, mirror: new DatastoreMirror() };
  policyController(restarted);
  restarted.mirror.follow(w.store, w.log, w.signal);
  await settled();
  assert.ok(await w.store.get(key), 'a restart finds it unwanted');
  w.kubernetes.remove('namespaces', 'shop');
  await settled();
  assert.equal(await w.store.get(key), undefined);
  w.stop();
});

test('endpoint labels follow the pod; system labels stay; nothing is created', async () => {
  const w = world();
  const key = namespacedKey('workloadendpoints', 'default', 'n1-k8s-web-eth0');
  const pod = (name: string, app: string) => ({
    metadata: { name, namespace: 'default', labels: { app } },
    spec: { nodeName: 'n1', containers: [] },
  });
  w.store.put(
    key,
    printResource({
      kind: 'WorkloadEndpoint',
      apiVersion: API_VERSION,
      metadata: {
        name: 'n1-k8s-web-eth0',
        namespace: 'default',
        labels: { app: 'old', 'projectcalico.org/namespace': 'default' },
      },
      spec: { node: 'n1', orchestrator: 'k8s', endpoint: 'eth0' },
    }),
  );
  w.kubernetes.put('pods', pod('web', 'new'));
  w.kubernetes.put('pods', pod('other', 'x'));
  workloadEndpointController(w);
  w.start();
  await settled();
  const stored = JSON.parse((await w.store.get(key))!.value) as { metadata: { labels: object } };
  assert.deepEqual(stored.metadata.labels, {
    app: 'new',
    'projectcalico.org/namespace': 'default',
  });
  assert.equal(
    (await w.store.list('/calico/resources/v3/projectcalico.org/workloadendpoints/')).items.length,
    1,
  );
  w.stop();
});

test('a node that left: its addresses, blocks, endpoints and Node go; others stay', async () => {
  const w = world();
  await addPool(w.store, '10.0.0.0/24');
  for (const name of ['dead', 'alive', 'unmanaged']) {
    const orchRefs = name === 'unmanaged' ? [] : [{ orchestrator: 'k8s', nodeName: name }];
    w.store.put(
      resourceKey('nodes', name),
      printResource({
        kind: 'Node',
        apiVersion: API_VERSION,
        metadata: { name },
        spec: { orchRefs },
      }),
    );
    const allocator = await open(w.store, name);
    await allocator.assign(request(`n.${name}`, { attributes: { node: name } }));
    allocator.close();
  }
  w.kubernetes.put('nodes', { metadata: { name: 'alive' } });
  nodeController(w);
  w.start();
  await settled();
  const left = (await w.store.list('/calico/')).items
    .map(({ key }) => key)
    .filter((key) => /dead|alive|unmanaged/.test(key));
  assert.deepEqual(
    left.filter((key) => key.includes('dead')),
    [],
  );
  assert.equal(left.filter((key) => key.includes('alive')).length, 3);
  assert.equal(left.filter((key) => key.includes('unmanaged')).length, 3);
  await audited(w.store);
  w.stop();
});

test('settings: resources from the chart values; a pool keeps its CIDR', async () => {
  const w = world();
  const env = {
    CALICO_SETTINGS_MESH: 'false',
    CALICO_SETTINGS_ASNUMBER: '4200000000',
    CALICO_IPV4POOL_CIDR: '10.1.0.0/16',
    CALICO_IPV4POOL_IPIP: 'Never',
  };
  const settings = clusterSettings(env);
  assert.ok(settings.ok);
  await addPool(w.store, '10.0.0.0/16', { blockSize: 27, ipipMode: 'Always', natOutgoing: false });
  settingsController(w, settings.value);
  w.start();
  await settled();
  assert.deepEqual(await spec(w, resourceKey('bgpconfigurations', 'default')), {
    logSeverityScreen: 'Info',
    nodeToNodeMeshEnabled: false,
    asNumber: 4200000000,
  });
  const pool = await spec(w, resourceKey('ippools', 'default-ipv4-ippool'));
  assert.deepEqual(
    [pool['cidr'], pool['blockSize'], pool['ipipMode'], pool['natOutgoing']],
    ['10.0.0.0/16', 27, 'Never', true],
  );
  w.stop();
});

const CHART = {
  CALICO_IPV4POOL_CIDR: '10.1.0.0/16',
  CALICO_IPV4POOL_IPIP: 'Always',
  CALICO_SETTINGS_MTU: '1480',
};

test('settings: on an empty datastore all three are made', async () => {
  const w = world();
  const settings = clusterSettings(CHART);
  assert.ok(settings.ok);
  settingsController(w, settings.value);
  w.start();
  await settled();
  const felix = await spec(w, resourceKey('felixconfigurations', 'default'));
  assert.deepEqual([felix['ipipEnabled'], felix['ipipMTU']], [true, 1480]);
  const pool = await spec(w, resourceKey('ippools', 'default-ipv4-ippool'));
  assert.deepEqual([pool['cidr'], pool['ipipMode']], ['10.1.0.0/16', 'Always']);
  assert.ok(await spec(w, resourceKey('bgpconfigurations', 'default')));
  w.stop();
});

test("settings: BFD is BGPConfiguration's annotation; other annotations stay, and empty says nothing", async () => {
  const w = world();
  const key = resourceKey('bgpconfigurations', 'default');
  const annotations = { 'calico-kit.io/bfd': 'off', mine: 'stays' };
  const put = (): void => {
    const metadata = { name: 'default', annotations };
    const resource = { kind: 'BGPConfiguration', apiVersion: API_VERSION, metadata, spec: {} };
    w.store.put(key, printResource(resource));
  };
  const written = async (): Promise<unknown> =>
    JSON.parse((await w.store.get(key))!.value).metadata.annotations;
  put();
  const silent = clusterSettings(CHART);
  assert.ok(silent.ok);
  settingsController(w, silent.value);
  w.start();
  await settled();
  assert.deepEqual(await written(), annotations);
  const timers = 'transmit=50ms,receive=50ms';
  const speaking = clusterSettings({ ...CHART, CALICO_SETTINGS_BFD: timers });
  assert.ok(speaking.ok);
  settingsController(w, speaking.value);
  put();
  await settled();
  assert.deepEqual(await written(), { 'calico-kit.io/bfd': timers, mine: 'stays' });
  w.stop();
});

test('settings: a cluster with a pool of its own gets no second one, and none is ever deleted', async () => {
  const w = world();
  const settings = clusterSettings(CHART);
  assert.ok(settings.ok);
  const own = resourceKey('ippools', 'own');
  const pool = { cidr: '10.1.0.0/16', blockSize: 26 };
  const metadata = { name: 'own' };
  w.store.put(
    own,
    printResource({ kind: 'IPPool', apiVersion: API_VERSION, metadata, spec: pool }),
  );
  settingsController(w, settings.value);
  w.start();
  await settled();
  assert.equal(await w.store.get(resourceKey('ippools', 'default-ipv4-ippool')), undefined);
  assert.deepEqual(await spec(w, own), pool);
  w.stop();
});

test("settings: who loses the race keeps the winner's pool and fields", async () => {
  const w = world();
  const settings = clusterSettings(CHART);
  assert.ok(settings.ok);
  const pool = resourceKey('ippools', 'default-ipv4-ippool');
  const transaction = w.store.transaction.bind(w.store);
  let conflicts = 0;
  // The other writer is first by a hair: after the controller looked, before it writes.
  w.store.transaction = async (compares, writes) => {
    if (compares[0]?.key === pool && !(await w.store.get(pool))) {
      const metadata = { name: 'default-ipv4-ippool' };
      const made = { cidr: '10.9.0.0/16', blockSize: 24, nodeSelector: 'x' };
      const kind = 'IPPool';
      w.store.put(pool, printResource({ kind, apiVersion: API_VERSION, metadata, spec: made }));
    }
    const result = await transaction(compares, writes);
    if (result.kind === 'conflict') conflicts++;
    return result;
  };
  settingsController(w, settings.value);
  w.start();
  const written = async (): Promise<boolean> => (await spec(w, pool))?.['ipipMode'] === 'Always';
  while (!(await written())) await setImmediate();
  const { cidr, blockSize, nodeSelector } = await spec(w, pool);
  assert.deepEqual([cidr, blockSize, nodeSelector, conflicts], ['10.9.0.0/16', 24, 'x', 1]);
  w.stop();
});

test('settings: what is ignored is said, with the way out', () => {
  const settings = clusterSettings({ ...CHART, CALICO_IPV4POOL_BLOCK_SIZE: '27' });
  assert.ok(settings.ok);
  const stored = { cidr: '10.2.0.0/16', blockSize: 26 };
  const { ignored } = wantedSettings(settings.value, (key) =>
    key === SETTINGS_KEYS.pool ? { spec: stored, annotations: {} } : undefined,
  );
  assert.deepEqual(
    ignored.map(({ message }) => message.split(';')[0]),
    [
      'networking.podSubnet 10.1.0.0/16 is ignored: the pool default-ipv4-ippool has 10.2.0.0/16',
      'block size 27 is ignored: the pool default-ipv4-ippool has 26',
    ],
  );
});

test('settings: bad text is refused by name', () => {
  for (const [name, value] of [
    ['CALICO_SETTINGS_MESH', 'on'],
    ['CALICO_IPV4POOL_BLOCK_SIZE', 'x'],
    ['CALICO_IPV4POOL_CIDR', 'fd00::/64'],
    ['CALICO_IPV4POOL_IPIP', 'Sometimes'],
    ['CALICO_SETTINGS_MTU', '-1'],
  ] as const) {
    const settings = clusterSettings({ [name]: value });
    assert.match(settings.ok ? '' : settings.error, new RegExp(`^${name}: '${value}'`));
  }
});

test('an endpoint of an earlier pod of the same name is left alone', async () => {
  const w = world();
  const metadata = { name: 'n1-k8s-web-eth0', namespace: 'default', labels: { app: 'old' } };
  const key = namespacedKey('workloadendpoints', 'default', metadata.name);
  const endpoint = {
    node: 'n1',
    orchestrator: 'k8s',
    endpoint: 'eth0',
    ipNetworks: ['10.0.0.1/32'],
  };
  const kind = 'WorkloadEndpoint';
  w.store.put(key, printResource({ kind, apiVersion: API_VERSION, metadata, spec: endpoint }));
  const pod = (podIP: string) => ({
    metadata: { name: 'web', namespace: 'default', labels: { app: 'new' } },
    spec: { nodeName: 'n1', containers: [] },
    status: { podIP },
  });
  const label = async () =>
    (JSON.parse((await w.store.get(key))!.value) as { metadata: typeof metadata }).metadata.labels;
  workloadEndpointController(w);
  w.start();
  w.kubernetes.put('pods', pod('10.0.0.2'));
  await settled();
  assert.deepEqual(await label(), { app: 'old' });
  w.kubernetes.put('pods', pod('10.0.0.1'));
  await settled();
  assert.deepEqual(await label(), { app: 'new' });
  w.stop();
});

test('a node that the list misses but a live read finds is kept; its settings go with it later', async () => {
  const w = world();
  const key = resourceKey('nodes', 'n1');
  const felix = resourceKey('felixconfigurations', 'node.n1');
  const orchRefs = [{ orchestrator: 'k8s', nodeName: 'n1' }];
  const metadata = { name: 'n1' };
  const kind = 'Node';
  w.store.put(key, printResource({ kind, apiVersion: API_VERSION, metadata, spec: { orchRefs } }));
  w.store.put(felix, '{}');
  let exists = true;
  const getNode: typeof w.kubernetes.getNode = async () => (exists ? { metadata } : undefined);
  nodeController({ ...w, kubernetes: { ...w.kubernetes, getNode } });
  w.start();
  await settled();
  assert.ok(await w.store.get(key));
  exists = false;
  w.kubernetes.put('nodes', { metadata });
  w.kubernetes.remove('nodes', 'n1');
  await settled();
  assert.equal(await w.store.get(key), undefined);
  assert.equal(await w.store.get(felix), undefined);
  w.stop();
});

test('a node is kept while Kubernetes cannot be asked', async () => {
  const w = world();
  const key = resourceKey('nodes', 'n1');
  const orchRefs = [{ orchestrator: 'k8s', nodeName: 'n1' }];
  const metadata = { name: 'n1' };
  const kind = 'Node';
  w.store.put(key, printResource({ kind, apiVersion: API_VERSION, metadata, spec: { orchRefs } }));
  w.kubernetes.setUnreachable(true);
  const controller = nodeController(w);
  w.start();
  await settled();
  assert.ok(await w.store.get(key));
  assert.deepEqual(controller.failing, [key]);
  w.stop();
});

test('nothing is deleted before Kubernetes has been listed', async () => {
  const w = world();
  const key = resourceKey('profiles', 'kns.default');
  const metadata = { name: 'kns.default' };
  w.store.put(key, printResource({ kind: 'Profile', apiVersion: API_VERSION, metadata, spec: {} }));
  const silent = { ...w.kubernetes, watch: () => {} };
  const controller = namespaceController({ ...w, kubernetes: silent });
  w.start();
  await settled();
  assert.ok(await w.store.get(key));
  assert.deepEqual(problemsOf(w.mirror.problem, new Map([['namespace', controller]])), [
    'namespace: waiting for the list of namespaces',
  ]);
  w.stop();
});

test('environment: old controller names, bad values by name', () => {
  const good = controllersSettings({
    ETCD_ENDPOINTS: 'http://x:1',
    ENABLED_CONTROLLERS: 'policy,profile,workloadendpoint,node',
  });
  assert.ok(good.ok && good.value.enabled.has('namespace'));
  const bad = controllersSettings({
    ETCD_ENDPOINTS: 'http://x:1',
    ENABLED_CONTROLLERS: 'policy,magic',
  });
  assert.match(bad.ok ? '' : bad.error, /'magic' is unknown; use policy, namespace/);
  const wrong = controllersSettings({
    ETCD_ENDPOINTS: 'http://x:1',
    CALICO_ROUTE_REFLECTORS_NODE_SELECTOR: 'has(edge',
  });
  assert.ok(wrong.ok && !wrong.value.reflectorNodes.ok, 'the others go on');
  assert.match(
    wrong.value.reflectorNodes.error,
    /CALICO_ROUTE_REFLECTORS_NODE_SELECTOR: .*has\(edge/,
  );
  const asn = clusterSettings({ CALICO_SETTINGS_ASNUMBER: '0' });
  assert.match(asn.ok ? '' : asn.error, /CALICO_SETTINGS_ASNUMBER: '0' is no AS number/);
});
