import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../../../base/log.io.ts';
import { Gathered, type GatheredOptions } from './gathered.io.ts';

/** Work whose end is in the test's hand. */
function held(
  timing: Pick<GatheredOptions<string>, 'quietMilliseconds' | 'patienceMilliseconds' | 'rest'> = {
    quietMilliseconds: 3_600_000,
    patienceMilliseconds: 3_600_000,
  },
) {
  const runs: { readonly items: readonly string[]; readonly end: (cause?: Error) => void }[] = [];
  const begun: (() => void)[] = [];
  const gathered = new Gathered<string>({
    ...timing,
    what: 'things',
    repeatMilliseconds: 1,
    most: 3,
    log: openLog('test', 'silent'),
    work: (items) =>
      new Promise((resolve, reject) => {
        runs.push({ items, end: (cause) => (cause ? reject(cause) : resolve()) });
        begun.shift()?.();
      }),
  });
  const next = (): Promise<void> => new Promise((resolve) => begun.push(resolve));
  return { gathered, runs, next };
}

test('callers who come while a run is under way share the next one', async () => {
  const { gathered, runs, next } = held();
  gathered.add('a');
  let [begun, done] = [next(), gathered.doAll()];
  await begun;
  gathered.add('b');
  gathered.add('c');
  begun = next();
  const others = [gathered.gone('b'), gathered.gone('c'), gathered.doAll()];
  assert.equal(gathered.gone('none'), undefined);
  runs[0]?.end();
  await done;
  await begun;
  done = Promise.all(others).then(() => {});
  runs[1]?.end();
  await done;
  assert.deepEqual(
    runs.map(({ items }) => items),
    [['a'], ['b', 'c']],
  );
  assert.equal(gathered.waiting, 0);
});

test('what a run is at work on is waited for, not done again', async () => {
  const { gathered, runs, next } = held();
  gathered.add('a');
  const begun = next();
  const done = gathered.doAll();
  await begun;
  const gone = gathered.gone('a');
  runs[0]?.end();
  await Promise.all([done, gone]);
  assert.equal(runs.length, 1);
});

test('a failure reaches who waits, nothing is forgotten, and it is repeated by itself', async () => {
  const { gathered, runs, next } = held();
  gathered.add('a');
  let begun = next();
  const done = gathered.doAll();
  await begun;
  gathered.add('b');
  begun = next();
  runs[0]?.end(new Error('refused'));
  await assert.rejects(done, /refused/);
  assert.equal(gathered.waiting, 2);
  await begun;
  assert.deepEqual(runs[1]?.items, ['a', 'b']);
  const gone = gathered.gone('a');
  runs[1]?.end();
  await gone;
  assert.equal(gathered.waiting, 0);
});

test('one that comes again during its run is done again', async () => {
  const { gathered, runs, next } = held();
  gathered.add('a');
  const begun = next();
  const done = gathered.doAll();
  await begun;
  gathered.add('a');
  runs[0]?.end();
  await done;
  assert.equal(gathered.waiting, 1);
});

test('it begins once nothing has come for a while; at once when there are many or patience has ended', async () => {
  const long = 3_600_000;
  for (const [quietMilliseconds, patienceMilliseconds, items] of [
    [1, long, ['a']],
    [long, long, ['a', 'b', 'c']],
    [long, -1, ['a']],
  ] as const) {
    const { gathered, runs, next } = held({ quietMilliseconds, patienceMilliseconds });
    const begun = next();
    for (const item of items) gathered.add(item);
    await begun;
    gathered.putOff();
    assert.deepEqual(runs[0]?.items, items);
    const gone = gathered.gone('a');
    runs[0]?.end();
    await gone;
  }
});

test('after a run the next waits as long as the rest, at most as long as patience', async () => {
  const timing = { quietMilliseconds: 1, patienceMilliseconds: 50, rest: 1e9 };
  const { gathered, runs, next } = held(timing);
  let begun = next();
  gathered.add('a');
  await begun;
  const gone = gathered.gone('a');
  runs[0]?.end();
  await gone;
  const ended = performance.now();
  begun = next();
  gathered.add('b');
  await begun;
  assert.ok(performance.now() - ended > 45, 'it rested');
  const other = gathered.gone('b');
  runs[1]?.end();
  await other;
});

test('closed: nothing begins by itself any more', async () => {
  const { gathered, runs, next } = held();
  gathered.add('a');
  const begun = next();
  const done = gathered.doAll();
  await begun;
  gathered.close();
  runs[0]?.end(new Error('refused'));
  await assert.rejects(done);
  gathered.putOff();
  assert.equal(gathered.waiting, 1);
});
