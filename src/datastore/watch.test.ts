// How a watch goes on after a break, against a scripted server: what it asks for next.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import * as pb from './gen/etcd_pb.js';
import type { Rpc, WatchStream } from './rpc.io.ts';
import type { Change } from './store.ts';
import { follow } from './watch.io.ts';

type Reply = MessageInitShape<typeof pb.WatchResponseSchema>;

/** Plays one script per stream; records what was asked and delivered. */
function play(scripts: readonly (readonly Reply[])[]) {
  const asked: bigint[] = [];
  const delivered: string[] = [];
  const stop = new AbortController();
  const finished = Promise.withResolvers<void>();
  let listings = 0;
  const watch = (): WatchStream => {
    let listener: Parameters<WatchStream['on']>[0];
    const script = scripts[asked.length];
    return {
      on: (given) => {
        listener = given;
      },
      send: ({ requestUnion }) => {
        if (requestUnion?.case === 'createRequest') {
          asked.push(BigInt(requestUnion.value.startRevision ?? 0n));
        }
        if (!script) return finished.resolve();
        for (const reply of script) listener.data(create(pb.WatchResponseSchema, reply));
        listener.end(new Error('cut'));
      },
      cancel: () => {},
    };
  };
  const none = (): never => assert.fail('a watch only lists and watches');
  const rpc: Rpc = { range: none, transaction: none, watch, close: () => {} };
  follow({
    rpc,
    list: async () => ({ items: [], revision: ++listings === 1 ? 10n : 500n }),
    prefix: '/w/',
    watcher: {
      restored: (why) => void delivered.push(`restored: ${why}`),
      snapshot: ({ revision }) => void delivered.push(`snapshot ${revision}`),
      changes: (changes: readonly Change[]) =>
        void delivered.push(
          ...changes.map((c) => (c.kind === 'put' ? `put ${c.item.revision}` : 'delete')),
        ),
    },
    signal: stop.signal,
    log: undefined,
  });
  return finished.promise.then(() => {
    stop.abort();
    return { asked, delivered };
  });
}

const header = (revision: bigint, clusterId = 7n) => ({ revision, clusterId });
const put = (modRevision: bigint) => ({ type: 0, kv: { key: Buffer.from('/w/k'), modRevision } });
const created = (revision: bigint, clusterId = 7n): Reply => ({
  created: true,
  header: header(revision, clusterId),
});

test('a break while the server catches up: from the last event on, not from the header', async () => {
  const { asked, delivered } = await play([
    [created(3001n), { header: header(3001n), events: [put(11n), put(12n)] }],
  ]);
  assert.deepEqual(asked, [11n, 13n]);
  assert.deepEqual(delivered, ['snapshot 10', 'put 11', 'put 12']);
});

test('a progress notification moves the point of resume, a creation does not', async () => {
  const { asked } = await play([[created(90n)], [created(90n), { header: header(95n) }]]);
  assert.deepEqual(asked, [11n, 11n, 96n]);
});

test('a revision in fragments is delivered whole, and not at all when it was cut', async () => {
  const half = { header: header(20n), events: [put(20n)], fragment: true };
  const { asked, delivered } = await play([
    [created(20n), half],
    [created(20n), half, { header: header(20n), events: [put(20n)] }],
  ]);
  assert.deepEqual(asked, [11n, 11n, 21n]);
  assert.deepEqual(delivered, ['snapshot 10', 'put 20', 'put 20']);
});

for (const [what, reply, told] of [
  ['compaction', { header: header(30n), compactRevision: 25n }, []],
  ['a revision that went back', created(3n), ['restored: revision went back']],
] as const) {
  test(`${what}: the snapshot again, then on from there`, async () => {
    const { asked, delivered } = await play([[reply]]);
    assert.deepEqual(asked, [11n, 501n]);
    assert.deepEqual(delivered, ['snapshot 10', ...told, 'snapshot 500']);
  });
}

test('another cluster at the same address: the snapshot again', async () => {
  const { asked, delivered } = await play([[created(10n, 7n)], [created(900n, 8n)]]);
  assert.deepEqual(asked, [11n, 11n, 501n]);
  assert.deepEqual(delivered, ['snapshot 10', 'restored: another cluster', 'snapshot 500']);
});
