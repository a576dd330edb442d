// The datastore on a real etcd: the shared cases, and what only a real server can do.
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../test/lab/command.ts';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { openEtcdStore } from './etcd.io.ts';
import { openRpc } from './rpc.io.ts';
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

  test('etcd: a store that lost its data gives the snapshot again', async () => {
    const store = openEtcdStore({ endpoints: server.endpoints });
    const stop = new AbortController();
    const snapshots: string[] = [];
    store.watch(
      '/lost/',
      {
        snapshot: ({ items }) => void snapshots.push(items.map((item) => item.value).join(' ')),
        changes: () => {},
      },
      stop.signal,
    );
    await eventually('snapshot', () => snapshots.length === 1);
    for (const value of ['1', '2', '3']) await write(store, value, '/lost/k');
    await server.wipe();
    await eventually('snapshot of nothing', () => snapshots.length === 2, 15_000);
    assert.deepEqual(snapshots, ['', '']);
    stop.abort();
    store.close();
  });

  test('etcd: a compacted revision is told as such', async () => {
    const store = openEtcdStore({ endpoints: server.endpoints });
    await write(store, '1', '/compacted/k');
    const second = await write(store, '2', '/compacted/k');
    const revision = second.kind === 'committed' ? second.revision : 0n;
    await fetch(`${server.endpoints[0]}/v3/kv/compaction`, {
      method: 'POST',
      body: JSON.stringify({ revision: String(revision) }),
    });
    const rpc = openRpc(server.endpoints);
    const stream = rpc.watch();
    const compactRevision = await new Promise<bigint>((resolve, reject) => {
      stream.on({
        data: (reply) => void (reply.created || resolve(reply.compactRevision)),
        end: reject,
      });
      const value = { key: Buffer.from('/compacted/k'), startRevision: 1n };
      stream.send({ requestUnion: { case: 'createRequest', value } });
    });
    assert.equal(compactRevision, revision);
    stream.cancel();
    rpc.close();
    store.close();
  });

  test('etcd: an unreachable server is an OpError within the deadline', async () => {
    const store = openEtcdStore({ endpoints: ['http://127.0.0.1:1'] });
    await assert.rejects(store.get('a'), /etcd Range/);
    store.close();
  });

  test('etcd: a connection that falls silent is noticed within 10 seconds', async () => {
    const proxy = await silencing(new URL(server.endpoints[0]!));
    const store = openEtcdStore({ endpoints: [proxy.endpoint] });
    const stop = new AbortController();
    const states: boolean[] = [];
    store.watch(
      '/silent/',
      { snapshot() {}, changes() {}, connection: ({ up }) => void states.push(up) },
      stop.signal,
    );
    await eventually('up', () => states.at(-1) === true);
    proxy.silence();
    await eventually('down', () => states.at(-1) === false, 10_000);
    stop.abort();
    store.close();
    proxy.close();
  });

  test('etcd: a bad endpoint is named', () => {
    const mixed = ['https://x:1', 'http://y:1'];
    assert.throws(
      () => openEtcdStore({ endpoints: mixed }),
      /use https for all of them or for none/,
    );
  });
});

const write = (store: Store, value: string, key = '/resume/k') =>
  store.transaction([], [{ kind: 'put', key, value }]);

/** A proxy that can stop passing bytes on while its connections stay open. */
function silencing(
  target: URL,
): Promise<{ readonly endpoint: string; silence(): void; close(): void }> {
  const sockets: Socket[] = [];
  const proxy = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    sockets.push(near.pipe(far), far.pipe(near));
    for (const socket of [near, far]) socket.on('error', () => {});
  });
  return new Promise((resolve) =>
    proxy.listen(0, '127.0.0.1', () =>
      resolve({
        endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
        silence: () => {
          for (const socket of sockets) socket.unpipe().pause();
        },
        close: () => {
          for (const socket of sockets) socket.destroy();
          proxy.close();
        },
      }),
    ),
  );
}
