// What a strict reader of Calico's types accepts: all that Calico itself recorded, and all that our
// address management writes; and that it does refuse what is wrong.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.io.ts';
import { printJson } from '../../src/base/json.ts';
import { configure } from '../../src/cli/ipam/configure.ts';
import { readWorld } from '../../src/cli/ipam/world.ts';
import { memoryStore } from '../../src/datastore/memory.ts';
import { addPool, open, request } from '../../src/ipam/allocator.cases.ts';
import { assignTunnelAddress } from '../../src/ipam/tunnel.ts';
import { IPAM, ROOT } from '../../src/model/keys.ts';
import { strictProblems } from './strict-types.ts';

interface Step {
  readonly keys?: Readonly<Record<string, object>>;
}

const UID = '00000000-0000-4000-8000-000000000000';

/** Every key and value of the session that Calico's own plugin wrote. */
function recorded(): readonly { key: string; value: string }[] {
  const text = readFileSync(join(import.meta.dirname, '../cni/transcript.json'), 'utf8');
  return (JSON.parse(text) as readonly Step[]).flatMap(({ keys = {} }) =>
    Object.entries(keys).map(([key, value]) => ({
      key,
      value: printJson(value)
        .replaceAll('"creationTimestamp":"<time>"', '"creationTimestamp":"2026-11-22T00:00:00Z"')
        .replaceAll(
          '"affinity_claim_time":"<time>"',
          '"affinity_claim_time":"2026-11-22T00:00:00Z"',
        )
        .replaceAll(/"S\+(\d+)"/g, '179539080078019103$1')
        .replaceAll('<uid>', UID),
    })),
  );
}

test('what Calico itself wrote is accepted', () => {
  const items = recorded();
  assert.ok(items.length > 8);
  assert.deepEqual(strictProblems(items), []);
});

test('wrong types, unknown fields, other names and missing fields are noticed', () => {
  const items = recorded();
  const changed = (from: string | RegExp, to: string): readonly string[] =>
    strictProblems(items.map(({ key, value }) => ({ key, value: value.replace(from, to) })));
  const cases: readonly [string | RegExp, string, RegExp][] = [
    ['"deleted":false', '"deleted":"false"', /deleted is "false", not a bool/],
    ['"deleted":false', '"later":1,"deleted":false', /later is no field of Calico's/],
    ['"unallocated"', '"Unallocated"', /unallocated is missing/],
    [/"sequenceNumber":\d+/, '"sequenceNumber":1.5', /sequenceNumber is 1\.5, not a uint64/],
    [/"sequenceNumber":\d+/, '"sequenceNumber":"7"', /sequenceNumber is "7", not a uint64/],
    ['host:node1', 'node1', /affinity is "node1", not host:<node>/],
    ['"confirmed"', '"done"', /state is "done"/],
    ['"name":"node1-', '"name":"node2-', /its name is node2-/],
    ['T00:00:00Z","labels"', 'T00:00:00.5Z","labels"', /not a time in whole seconds/],
    ['/32"', '"', /not a CIDR/],
  ];
  for (const [from, to, message] of cases)
    assert.match(changed(from, to).join('\n'), message, String(from));
  const stranger = { key: `${IPAM}hosts/a`, value: '{}' };
  assert.deepEqual(strictProblems([stranger]), [`${stranger.key} is no key of Calico's`]);
});

test('what address management writes is accepted after every step', async () => {
  const store = memoryStore();
  await addPool(store, '10.0.0.0/28', { blockSize: 30 });
  await addPool(store, 'fd00::/120', { blockSize: 126 }, 'six');
  const accepted = async (what: string): Promise<void> => {
    const { items } = await store.list(IPAM);
    assert.deepEqual(strictProblems(items), [], what);
  };
  const set = async (changes: Parameters<typeof configure>[2]): Promise<void> => {
    const world = readWorld((await store.list(ROOT)).items, systemClock.date());
    await configure(store, world, changes);
    await accepted('configure');
  };
  const [a, b] = [await open(store, 'a'), await open(store, 'b')];
  const keep = (node: string) => ({
    keep: true,
    attributes: { node, pod: 'db-0', namespace: 'x', timestamp: node },
  });
  const alongside = () => ({ compares: [], writes: [] });
  const steps: readonly [string, () => Promise<unknown>][] = [
    ['dual stack', () => a.assign(request('n.1', { count6: 1 }))],
    ['more, ahead', () => Promise.all([2, 3, 4].map((n) => a.assign(request(`n.${n}`))))],
    ['kept', () => a.assign(request('n.x-db-0', keep('a')))],
    ['moved', () => b.assign(request('n.x-db-0', keep('b')))],
    ['tunnel', () => assignTunnelAddress(b, { tunnel: 'ipip', node: 'b', alongside })],
    ['full', () => Promise.all([5, 6, 7, 8, 9].map((n) => b.assign(request(`n.${n}`))))],
    ['borrowed', () => a.assign(request('n.10'))],
    ['released', () => a.release({ handleId: 'n.1' })],
    ['rest', () => set({ ipCooldownSeconds: 60 })],
    ['resting', () => Promise.all([2, 3, 10].map((n) => a.release({ handleId: `n.${n}` })))],
    ['strict', () => set({ strict_affinity: true, maxBlocksPerHost: 2 })],
  ];
  for (const [what, step] of steps) {
    await step();
    await accepted(what);
  }
  const resting = (await store.list(IPAM)).items.some(({ value }) => value.includes('releasedAt'));
  assert.ok(resting, 'an address rests');
});
