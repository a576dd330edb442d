// The library as a user's pipeline imports it: `import { cluster, reach, trace } from 'calico-kit'`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cluster, reach, trace } from 'calico-kit';

const web = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'db', namespace: 'shop' },
  spec: {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [
      { from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 'sql' }] },
    ],
  },
};
const accounts = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'GlobalNetworkPolicy',
  metadata: { name: 'tools' },
  spec: {
    selector: "app == 'web'",
    types: ['Ingress'],
    ingress: [
      { action: 'Allow', source: { serviceAccounts: { names: ['probe'] } } },
      { action: 'Allow', source: { serviceAccounts: { selector: "role == 'admin'" } } },
    ],
  },
};

const pods = {
  'shop/web': { labels: { app: 'web' } },
  'shop/db': { labels: { app: 'db' }, ports: [{ name: 'sql', port: 5432 }] },
  'tools/probe': { serviceAccount: 'probe' },
  'tools/admin-1': { serviceAccount: 'ops' },
  'tools/other': {},
};
const serviceAccounts = { 'tools/ops': { role: 'admin' } };

test('who reaches whom, and which policy says so', () => {
  const shop = cluster({ pods, serviceAccounts, resources: [web, accounts] });
  assert.equal(reach(shop, 'shop/web', 'shop/db', 5432), 'allow');
  assert.equal(reach(shop, 'shop/web', 'shop/db', 5433), 'deny');
  assert.equal(reach(shop, 'tools/probe', 'shop/db', 5432), 'deny');
  const asked = trace(shop, 'tools/probe', 'shop/db', '5432/tcp').asked.at(-1);
  assert.equal(asked?.evaluation.steps.at(-1)?.kind, 'endOfTier');
  assert.equal(reach(shop, '8.8.8.8', 'tools/other', 'icmp'), 'allow');
});

test('service accounts by name and by label', () => {
  const shop = cluster({ pods, serviceAccounts, resources: [web, accounts] });
  assert.equal(reach(shop, 'tools/probe', 'shop/web', 80), 'allow');
  assert.equal(reach(shop, 'tools/admin-1', 'shop/web', 80), 'allow');
  assert.equal(reach(shop, 'tools/other', 'shop/web', 80), 'deny');
});

test('staged policies count when asked for', () => {
  const { metadata, spec, apiVersion } = accounts;
  const staged = { apiVersion, kind: 'StagedGlobalNetworkPolicy', metadata, spec };
  const asked = (isStaged: boolean) =>
    reach(cluster({ pods, resources: [staged], staged: isStaged }), 'tools/other', 'shop/web', 80);
  assert.deepEqual([asked(false), asked(true)], ['allow', 'deny']);
});

test('what cannot be read throws, with the place; so do ends that do not exist', () => {
  const { metadata, apiVersion, kind } = accounts;
  const broken = { apiVersion, kind, metadata, spec: { selector: "app = 'web'" } };
  assert.throws(
    () => cluster({ pods, resources: [broken] }),
    /GlobalNetworkPolicy tools: .*column 5/,
  );
  assert.throws(() => cluster({ pods, resources: [{ kind: 'Pod' }] }), /resource 1: metadata/);
  assert.throws(() => cluster({ pods: { web: {} }, resources: [] }), /'web': name it/);
  const shop = cluster({ pods, resources: [] });
  assert.throws(() => reach(shop, 'shop/none', 'shop/web', 80), /neither an address nor a pod/);
  assert.throws(() => reach(shop, 'shop/db', 'shop/web', '80/xyz'), /give a port/);
});
