import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyCalculator } from './calculate.ts';
import { PolicyFeed } from './feed.ts';
import { runWhole } from './run-whole.ts';

const KEY = '/calico/resources/v3/projectcalico.org/workloadendpoints/default/n1-k8s-web-eth0';

function feed() {
  const seen: (string | undefined)[] = [];
  const calculator = {
    put: (_key: string, value: string) => {
      seen.push(value);
      return true;
    },
    remove: () => {
      seen.push(undefined);
      return true;
    },
    keys: () => [],
  } as unknown as PolicyCalculator;
  const f = new PolicyFeed(calculator, 'n1');
  const put = (value: string, revision: bigint) =>
    f.changes([{ kind: 'put', item: { key: KEY, value, revision } }]);
  return { f, seen, put };
}

test('an endpoint handed over after the watch has told of newer ones changes nothing', () => {
  const { f, seen, put } = feed();
  put('v1', 1n);
  put('v2', 2n);
  f.putEndpoint(KEY, 'v1', 1n);
  put('v3', 3n);
  f.changes([{ kind: 'delete', key: KEY, revision: 4n }]);
  assert.deepEqual(seen, ['v1', 'v2', 'v3', undefined]);
});

test('what the watch tells of before our own write is older', () => {
  const { f, seen, put } = feed();
  f.putEndpoint(KEY, 'v5', 5n);
  put('v3', 3n);
  put('v5', 5n);
  put('v6', 6n);
  assert.deepEqual(seen, ['v5', 'v6']);
});

test('the watch is faster than the answer to our own write: what it told counts, not the draft', () => {
  const { f, seen, put } = feed();
  f.putEndpoint(KEY, 'draft');
  put('v5', 5n); // not believed yet: it may be older than the write under way
  f.putEndpoint(KEY, 'v5', 5n);
  assert.deepEqual(seen, ['draft', 'v5']);
  const other = feed();
  other.f.putEndpoint(KEY, 'draft');
  other.put('v5', 5n);
  other.f.changes([{ kind: 'delete', key: KEY, revision: 6n }]);
  other.f.putEndpoint(KEY, 'v5', 5n);
  assert.deepEqual(other.seen, ['draft', undefined]);
});

test('a snapshot is taken in by pieces; endpoints put and removed meanwhile are newer', () => {
  const { f, seen } = feed();
  const item = (name: string) => ({ key: KEY.replace('web', name), value: name, revision: 5n });
  const work = f.snapshot(['web', 'db', 'api'].map(item));
  for (let piece = 0; piece < 3; piece++) work.next();
  f.putEndpoint(KEY, 'newer', 6n);
  f.removeEndpoint(item('db').key);
  runWhole(work);
  assert.deepEqual(seen, ['newer', undefined, 'api']);
  f.removeEndpoint(item('api').key);
  runWhole(f.snapshot([item('api'), { key: KEY, value: 'newer', revision: 6n }]));
  assert.deepEqual(seen.slice(3), [undefined, 'api'], 'a later snapshot is newer');
});
