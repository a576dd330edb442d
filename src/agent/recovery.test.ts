import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openLog } from '../base/log.io.ts';
import type { CniContext } from './cni/context.ts';
import type { Departure } from './cni/del/journal.io.ts';
import { CallGate } from './cni/gate.ts';
import { Recovery } from './recovery.io.ts';

/** A recovery that runs, over a journal that throws while the datastore is away. */
function running(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds));
  const state = { away: false, attempts: 0 };
  const entries = (): readonly Departure[] => {
    state.attempts++;
    if (state.away) throw new Error('the datastore is away');
    return [];
  };
  const context = {
    journal: { entries },
    view: { endpoints: [] },
    allocator: { handles: () => new Map() },
    kernel: { links: () => [], routes: () => [] },
    removal: { present: () => {} },
    pods: undefined,
    log: openLog('test', 'fatal'),
  } as unknown as CniContext;
  const stop = new AbortController();
  t.after(() => stop.abort());
  const recovery = new Recovery(pause);
  void recovery.run(context, new CallGate(), stop.signal);
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const pass = async (milliseconds: number): Promise<void> => {
    for (let second = 0; second < milliseconds; second += 1000) {
      await settled();
      t.mock.timers.tick(1000);
    }
    await settled();
  };
  return { recovery, state, pass };
}

test('recovery: within five seconds of being asked, once for many, and every five minutes anyway', async (t) => {
  const { recovery, state, pass } = running(t);
  await pass(10_000);
  assert.equal(state.attempts, 0);
  for (let i = 0; i < 5; i++) recovery.soon();
  await pass(5000);
  assert.equal(state.attempts, 1);
  await pass(300_000);
  assert.equal(state.attempts, 2);
});

test('recovery while the datastore is away: again and again, done within five seconds of its return', async (t) => {
  const { recovery, state, pass } = running(t);
  state.away = true;
  recovery.soon();
  await pass(60_000);
  const before = state.attempts;
  assert(before > 10, `${before} attempts`);
  state.away = false;
  await pass(5000);
  assert(state.attempts > before);
  const after = state.attempts;
  await pass(60_000);
  assert.equal(state.attempts, after, 'done is done');
});
