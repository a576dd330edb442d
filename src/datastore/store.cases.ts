// One suite for every datastore: the memory twin and etcd must agree in each case.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, Listing, Store } from './store.ts';

/** What a watch delivered, as text, and a way to wait for more. */
function recorder(store: Store, prefix: string, signal: AbortSignal) {
  const seen: string[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const w of [...waiting]) w();
  };
  store.watch(
    prefix,
    {
      snapshot: ({ items }: Listing) => {
        seen.push(`snapshot ${items.map((i) => `${i.key}=${i.value}`).join(' ')}`.trim());
        wake();
      },
      changes: (changes: readonly Change[]) => {
        for (const c of changes)
          seen.push(c.kind === 'put' ? `put ${c.item.key}=${c.item.value}` : `delete ${c.key}`);
        wake();
      },
    },
    signal,
  );
  const until = (count: number): Promise<readonly string[]> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (seen.length < count) return;
        waiting.delete(look);
        resolve(seen);
      };
      waiting.add(look);
      look();
    });
  return { seen, until };
}

export function storeCases(name: string, open: () => Store): void {
  let number = 0;
  const fresh = (): { store: Store; key: (k: string) => string; prefix: string } => {
    const prefix = `/cases/${process.pid}/${++number}/`;
    return { store: open(), prefix, key: (k) => prefix + k };
  };
  const put = async (store: Store, key: string, value: string): Promise<bigint> => {
    const done = await store.transaction([], [{ kind: 'put', key, value }]);
    assert.equal(done.kind, 'committed');
    return done.kind === 'committed' ? done.revision : 0n;
  };

  test(`${name}: get, put, delete`, async () => {
    const { store, key } = fresh();
    assert.equal(await store.get(key('a')), undefined);
    const revision = await put(store, key('a'), '1');
    assert.deepEqual(await store.get(key('a')), { key: key('a'), value: '1', revision });
    await store.transaction([], [{ kind: 'delete', key: key('a') }]);
    assert.equal(await store.get(key('a')), undefined);
    store.close();
  });

  test(`${name}: a list is the prefix in key order, also beyond one page`, async () => {
    const { store, prefix } = fresh();
    const keys = Array.from({ length: 1205 }, (_, i) => `${prefix}k${String(i).padStart(5, '0')}`);
    for (let i = 0; i < keys.length; i += 100) {
      await store.transaction(
        [],
        keys.slice(i, i + 100).map((key) => ({ kind: 'put', key, value: 'v' })),
      );
    }
    await put(store, `${prefix.slice(0, -1)}x`, 'outside');
    assert.deepEqual(
      (await store.list(prefix)).items.map((i) => i.key),
      keys,
    );
    store.close();
  });

  test(`${name}: a transaction happens whole or not at all`, async () => {
    const { store, key } = fresh();
    const revision = await put(store, key('a'), '1');
    const refused = await store.transaction(
      [
        { key: key('a'), revision },
        { key: key('b'), revision: 5n },
      ],
      [
        { kind: 'put', key: key('a'), value: '2' },
        { kind: 'put', key: key('c'), value: '3' },
      ],
    );
    assert.deepEqual(refused, {
      kind: 'conflict',
      current: [{ key: key('a'), value: '1', revision }, undefined],
    });
    assert.equal(await store.get(key('c')), undefined);
    const done = await store.transaction(
      [
        { key: key('a'), revision },
        { key: key('c'), revision: 0n },
      ],
      [
        { kind: 'put', key: key('a'), value: '2' },
        { kind: 'put', key: key('c'), value: '3' },
      ],
    );
    assert.equal(done.kind, 'committed');
    const [a, c] = [await store.get(key('a')), await store.get(key('c'))];
    assert.equal(a?.revision, c?.revision);
    store.close();
  });

  test(`${name}: create only when absent`, async () => {
    const { store, key } = fresh();
    const create = (value: string) =>
      store.transaction([{ key: key('a'), revision: 0n }], [{ kind: 'put', key: key('a'), value }]);
    const outcomes = await Promise.all([create('x'), create('y')]);
    assert.deepEqual(outcomes.map((o) => o.kind).sort(), ['committed', 'conflict']);
    store.close();
  });

  test(`${name}: a watch gives the snapshot, then every change of its prefix in order`, async () => {
    const { store, key, prefix } = fresh();
    const stop = new AbortController();
    await put(store, key('a'), '1');
    const watch = recorder(store, prefix, stop.signal);
    await watch.until(1);
    await put(store, key('b'), '2');
    await put(store, `${prefix.slice(0, -1)}x`, 'outside');
    await store.transaction([], [{ kind: 'delete', key: key('a') }]);
    await put(store, key('b'), '3');
    assert.deepEqual(await watch.until(4), [
      `snapshot ${key('a')}=1`,
      `put ${key('b')}=2`,
      `delete ${key('a')}`,
      `put ${key('b')}=3`,
    ]);
    stop.abort();
    store.close();
  });

  test(`${name}: after the signal a watch is silent`, async () => {
    const { store, key, prefix } = fresh();
    const stop = new AbortController();
    const watch = recorder(store, prefix, stop.signal);
    await watch.until(1);
    stop.abort();
    await put(store, key('a'), '1');
    await store.get(key('a'));
    assert.equal(watch.seen.length, 1);
    store.close();
  });
}
