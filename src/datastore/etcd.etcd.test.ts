// The datastore on a real etcd: the shared cases, and what only a real server can do.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../test/lab/command.ts';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { openEtcdStore } from './etcd.io.ts';
import { storeCases } from './store.cases.ts';
import type { Change, Store } from './store.ts';

describe('etcd', () => {
  let server: EtcdServer;
  before(async () => {
    server = await startEtcd();
  });
  after(() => server?.stop());

  storeCases('etcd', () => openEtcdStore({ endpoints: server.endpoints }));

  test('etcd: a watch resumes over kill -9 and restart, nothing lost', async () => {
    const store = openEtcdStore({ endpoints: server.endpoints });
    const stop = new AbortController();
    const seen: string[] = [];
    const states: boolean[] = [];
    store.watch(
      '/resume/',
      {
        snapshot: () => void seen.push('snapshot'),
        changes: (changes: readonly Change[]) =>
          void seen.push(...changes.map((c) => (c.kind === 'put' ? c.item.value : 'gone'))),
        connection: ({ up }) => void states.push(up),
      },
      stop.signal,
    );
    await eventually('snapshot', () => seen.length === 1);
    await write(store, '1');
    await eventually('first change', () => seen.length === 2);
    await server.kill();
    await eventually('the break is noticed', () => states.at(-1) === false, 15_000);
    await server.restart();
    await eventually(
      'writes work again',
      () =>
        write(store, '2').then(
          () => true,
          () => false,
        ),
      15_000,
    );
    await eventually('second change', () => seen.at(-1) === '2', 15_000);
    assert.deepEqual(seen, ['snapshot', '1', '2']);
    stop.abort();
    store.close();
  });

  test('etcd: an unreachable server is an OpError within the deadline', async () => {
    const store = openEtcdStore({ endpoints: ['http://127.0.0.1:1'] });
    await assert.rejects(store.get('a'), /etcd Range/);
    store.close();
  });

  test('etcd: a bad endpoint is named', () => {
    assert.throws(() => openEtcdStore({ endpoints: ['https://x:1'] }), /'https:\/\/x:1': use http/);
  });
});

const write = (store: Store, value: string) =>
  store.transaction([], [{ kind: 'put', key: '/resume/k', value }]);
