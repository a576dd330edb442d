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
import { DatastoreMirror } from './datastore-mirror.io.ts';
import { controllersSettings } from './environment.ts';
import { nodeController } from './nodes.io.ts';
import {
  namespaceController,
  policyController,
  serviceAccountController,
} from './profiles-and-policies.io.ts';
import { settingsController } from './settings.io.ts';
import { clusterSettings } from './settings.ts';
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

test('a failed write is tried again', async () => {
  const w = world();
  w.kubernetes.put('namespaces', { metadata: { name: 'default' } });
  w.store.failNext('transaction');
  const controller = namespaceController(w);
  w.start();
  await settled();
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
  const asn = clusterSettings({ CALICO_SETTINGS_ASNUMBER: '0' });
  assert.match(asn.ok ? '' : asn.error, /CALICO_SETTINGS_ASNUMBER: '0' is no AS number/);
});
