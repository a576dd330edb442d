// One suite for every Kubernetes port: the memory twin and the client must agree in each case. Objects
// carry a name of their own, so that it also runs against a cluster with a life of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Kinds, KubernetesApi, Pod, Secret } from './api.ts';

/** A port, and a way to change what it sees. */
export interface ApiUnderTest {
  readonly api: KubernetesApi;
  put<K extends keyof Kinds>(kind: K, object: Kinds[K]): void | Promise<void>;
  remove<K extends keyof Kinds>(kind: K, name: string, namespace?: string): void | Promise<void>;
}

const pod = (name: string, nodeName: string, app: string): Pod => ({
  metadata: { name, namespace: 'default', labels: { app } },
  spec: { nodeName, containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 80 }] }] },
});

/** What a watch delivered of the pods with this prefix, and a way to wait for more. */
function recorder(api: KubernetesApi, prefix: string, fieldSelector?: string) {
  const seen: string[] = [];
  const stop = new AbortController();
  const waiting = new Set<() => void>();
  const note = (what: string, pods: readonly Pod[]): void => {
    const own = pods.filter(({ metadata }) => metadata.name.startsWith(prefix));
    const texts = own
      .map(({ metadata }) => `${metadata.name.slice(prefix.length)}=${metadata.labels?.['app']}`)
      .sort();
    if (what !== 'snapshot' && own.length === 0) return;
    seen.push([what, ...texts].join(' '));
    for (const wake of [...waiting]) wake();
  };
  api.watch(
    'pods',
    {
      snapshot: (pods) => note('snapshot', pods),
      put: (one) => note('put', [one]),
      gone: (one) => note('gone', [one]),
    },
    { signal: stop.signal, ...(fieldSelector ? { fieldSelector } : {}) },
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
  return { seen, until, stop: () => stop.abort() };
}

export function apiCases(name: string, open: () => ApiUnderTest): void {
  let number = 0;
  const fresh = () => ({ ...open(), prefix: `case-${process.pid}-${++number}-` });

  test(`${name}: what is there can be read, what is not is undefined`, async () => {
    const { api, put, remove, prefix } = fresh();
    await put('pods', pod(`${prefix}a`, 'n1', 'x'));
    const read = await api.getPod('default', `${prefix}a`);
    assert.equal(read?.spec.nodeName, 'n1');
    assert.deepEqual(read?.metadata.labels, { app: 'x' });
    assert.equal(read?.spec.containers[0]?.ports?.[0]?.containerPort, 80);
    assert.equal(await api.getPod('default', `${prefix}b`), undefined);
    assert.equal(await api.getNode(`${prefix}b`), undefined);
    assert.equal(await api.getNamespace(`${prefix}b`), undefined);
    await remove('pods', `${prefix}a`, 'default');
  });

  test(`${name}: a watch gives the snapshot, then every change in order`, async () => {
    const { api, put, remove, prefix } = fresh();
    await put('pods', pod(`${prefix}a`, 'n1', 'x'));
    const watch = recorder(api, prefix);
    await watch.until(1);
    await put('pods', pod(`${prefix}b`, 'n1', 'y'));
    await put('pods', pod(`${prefix}a`, 'n1', 'z'));
    await remove('pods', `${prefix}b`, 'default');
    assert.deepEqual(await watch.until(4), ['snapshot a=x', 'put b=y', 'put a=z', 'gone b=y']);
    watch.stop();
    await remove('pods', `${prefix}a`, 'default');
  });

  test(`${name}: a field selector narrows snapshot and changes`, async () => {
    const { api, put, remove, prefix } = fresh();
    await put('pods', pod(`${prefix}a`, `${prefix}n1`, 'x'));
    await put('pods', pod(`${prefix}b`, `${prefix}n2`, 'x'));
    const watch = recorder(api, prefix, `spec.nodeName=${prefix}n1`);
    await watch.until(1);
    await put('pods', pod(`${prefix}c`, `${prefix}n2`, 'x'));
    await put('pods', pod(`${prefix}d`, `${prefix}n1`, 'x'));
    assert.deepEqual(await watch.until(2), ['snapshot a=x', 'put d=x']);
    watch.stop();
    for (const one of ['a', 'b', 'c', 'd']) await remove('pods', `${prefix}${one}`, 'default');
  });

  test(`${name}: one Secret of one namespace can be watched by itself`, async () => {
    const { api, put, remove, prefix } = fresh();
    const secret = (name: string, namespace: string, text: string) => ({
      metadata: { name: `${prefix}${name}`, namespace },
      data: { key: Buffer.from(text).toString('base64') },
    });
    const seen: string[] = [];
    const stop = new AbortController();
    const heard = Promise.withResolvers<void>();
    const note = (what: string, items: readonly Secret[]): void => {
      seen.push([what, ...items.map(({ data }) => atob(data?.['key'] ?? ''))].join(' '));
      if (seen.length === 3) heard.resolve();
    };
    await put('secrets', secret('a', 'default', 'one'));
    await put('secrets', secret('a', 'kube-public', 'elsewhere'));
    api.watch(
      'secrets',
      {
        snapshot(items) {
          note('snapshot', items);
          void changeAll();
        },
        put: (one) => note('put', [one]),
        gone: (one) => note('gone', [one]),
      },
      { namespace: 'default', fieldSelector: `metadata.name=${prefix}a`, signal: stop.signal },
    );
    async function changeAll(): Promise<void> {
      await put('secrets', secret('b', 'default', 'other'));
      await put('secrets', secret('a', 'kube-public', 'still elsewhere'));
      await put('secrets', secret('a', 'default', 'two'));
      await remove('secrets', `${prefix}a`, 'default');
    }
    await heard.promise;
    stop.abort();
    assert.deepEqual(seen, ['snapshot one', 'put two', 'gone two']);
    await remove('secrets', `${prefix}b`, 'default');
    await remove('secrets', `${prefix}a`, 'kube-public');
  });

  test(`${name}: after the signal a watch is silent`, async () => {
    const { api, put, remove, prefix } = fresh();
    const [stopped, other] = [recorder(api, prefix), recorder(api, prefix)];
    await Promise.all([stopped.until(1), other.until(1)]);
    stopped.stop();
    await put('pods', pod(`${prefix}a`, 'n1', 'x'));
    await other.until(2);
    assert.deepEqual(stopped.seen, ['snapshot']);
    other.stop();
    await remove('pods', `${prefix}a`, 'default');
  });
}
