// The whole program as a process: real etcd, an API server of the test's own.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { strictProblems } from '../../test/golden/strict-types.ts';
import { eventually } from '../../test/lab/command.ts';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { type FakeApiServer, startFakeApiServer } from '../../test/lab/fake-api-server.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';
import type { Store } from '../datastore/store.ts';
import { assignOne, emptyBlock } from '../ipam/block.ts';
import { printIpam } from '../model/ipam.ts';
import {
  affinityKey,
  blockKey,
  handleKey,
  namespacedKey,
  RESOURCES,
  resourceKey,
} from '../model/keys.ts';
import { cidr } from '../net/cidr.ts';

let etcd: EtcdServer;
let api: FakeApiServer;
let store: Store;
let program: ChildProcess;
let health: string;

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

before(async () => {
  [etcd, api] = await Promise.all([startEtcd(), startFakeApiServer()]);
  store = openEtcdStore({ endpoints: etcd.endpoints });
  const port = await freePort();
  health = `http://127.0.0.1:${port}`;
  const env = {
    ETCD_ENDPOINTS: etcd.endpoints.join(','),
    KUBECONFIG: api.kubeconfig,
    HEALTH_PORT: String(port),
    CALICO_IPV4POOL_CIDR: '10.1.0.0/16',
    LEAK_GRACE_PERIOD: '1s',
    LOG_LEVEL: 'warn',
  };
  program = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
});
after(async () => {
  program?.kill('SIGKILL');
  store?.close();
  api?.close();
  await etcd?.stop();
});

const readiness = async (): Promise<string> => {
  const response = await fetch(`${health}/readiness`);
  return `${response.status} ${(await response.text()).trim()}`;
};

test('the program becomes ready and its resources follow the objects', async () => {
  api.put('namespaces', { metadata: { name: 'default', labels: { team: 'blue' } } });
  api.put('networkpolicies', {
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          from: [
            { namespaceSelector: { matchLabels: { team: 'blue' } }, podSelector: {} },
            { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } },
          ],
          ports: [{ port: 80 }, { port: 'dns', protocol: 'UDP' }, { port: 1000, endPort: 2000 }],
        },
      ],
      egress: [{}],
    },
  });
  api.put('serviceaccounts', { metadata: { name: 'default', namespace: 'default' } });
  await eventually('ready', async () => (await readiness()) === '200 ready', 20_000);
  for (const key of [
    resourceKey('profiles', 'kns.default'),
    resourceKey('profiles', 'ksa.default.default'),
    namespacedKey('networkpolicies', 'default', 'knp.default.web'),
    resourceKey('ippools', 'default-ipv4-ippool'),
    resourceKey('bgpconfigurations', 'default'),
    resourceKey('felixconfigurations', 'default'),
  ]) {
    await eventually(key, () => store.get(key));
  }
  assert.deepEqual(strictProblems((await store.list(RESOURCES)).items), []);
  api.remove('networkpolicies', 'web', 'default');
  const gone = namespacedKey('networkpolicies', 'default', 'knp.default.web');
  await eventually('the policy goes', async () => !(await store.get(gone)));
});

test('an API server that refuses is named, and all goes on when it is back', async () => {
  api.rotateToken('another');
  api.endWatches('break');
  await eventually('not ready', async () =>
    /^503 .*no namespaces from the API server.*Unauthorized/s.test(await readiness()),
  );
  api.rotateToken('first');
  await eventually('ready', async () => (await readiness()) === '200 ready', 20_000);
});

test('a datastore that lost everything is filled again', async () => {
  await etcd.wipe();
  const key = resourceKey('profiles', 'kns.default');
  await eventually('the profile', () => store.get(key), 20_000);
  await eventually('ready', async () => (await readiness()) === '200 ready', 20_000);
});

test('what nobody owns is freed after the grace period: a lost pod, and a lost node whole', async () => {
  const range = cidr('10.1.0.0/29');
  const lost = { node: 'lost', pod: 'web', namespace: 'default' };
  const empty = { cidr: range, owner: 'host:lost', claimedAt: 't', sequenceNumber: 7n };
  const { block } = assignOne(emptyBlock(empty), { handle_id: 'net.c1', secondary: lost });
  const counts = { block: { [range]: 1 }, deleted: false };
  const stored: readonly (readonly [string, string])[] = [
    [blockKey(range), printIpam(block)],
    [affinityKey('lost', range), '{"state":"confirmed","deleted":false}'],
    [handleKey('net.c1'), printIpam(counts)],
  ];
  const writes = stored.map(([key, value]) => ({ kind: 'put', key, value }) as const);
  await store.transaction([], writes);
  for (const [key] of stored) await eventually(key, async () => !(await store.get(key)), 20_000);
});

test('SIGTERM ends it in good order', async () => {
  const code = new Promise((resolve) => program.once('exit', resolve));
  program.kill('SIGTERM');
  assert.equal(await code, 0);
});
