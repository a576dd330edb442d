import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { CallGate } from './gate.ts';

const FOREVER = new Promise<never>(() => {});

test('the gate: a sweep runs alone', async () => {
  const gate = new CallGate();
  const seen: string[] = [];
  const call = (name: string) =>
    gate.call(async () => {
      seen.push(`${name} in`);
      await setImmediate();
      seen.push(`${name} out`);
    });
  await Promise.all([
    call('a'),
    gate.alone(async () => void seen.push('sweep'), FOREVER),
    call('b'),
  ]);
  assert.deepEqual(seen, ['a in', 'a out', 'sweep', 'b in', 'b out']);
});

test('the gate: behind a call that hangs a sweep gives up, other calls go in, and the next sweep finds its moment', async () => {
  const gate = new CallGate();
  const [hang, patience] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const hanging = gate.call(() => hang.promise);
  const sweep = assert.rejects(
    gate.alone(async () => {}, patience.promise),
    /1 calls are under way/,
  );
  const other = gate.call(async () => 'went');
  patience.resolve();
  await sweep;
  assert.equal(await other, 'went');
  hang.resolve();
  await hanging;
  assert.equal(await gate.alone(async () => 'swept', FOREVER), 'swept');
  assert.equal(gate.count, 0);
});
