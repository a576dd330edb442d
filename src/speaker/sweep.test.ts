import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ip } from '../net/ip.ts';
import { ROUNDS_MAX, SWEEP_AFTER_MS, Sweep } from './sweep.io.ts';

const [A, B] = [ip('10.0.0.1'), ip('10.0.0.2')];

test('a sweep waits for the last peer, and for the table to decide on what it told', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let swept = 0;
  const sweep = new Sweep(() => {
    swept += 1;
  });
  const hear = (peer: typeof A): void => {
    sweep.told(peer);
    sweep.consider([A, B]);
  };
  sweep.consider([A, B]);
  sweep.decided();
  hear(A);
  sweep.decided();
  hear(B);
  assert.equal(swept, 0, 'told, and not decided yet');
  sweep.decided();
  sweep.decided();
  assert.equal(swept, 1);
  sweep.close();
});

test('without a peer, or with one of several that never tells, only the time decides', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (const peers of [[], [A, B]]) {
    let swept = 0;
    const sweep = new Sweep(() => {
      swept += 1;
    });
    sweep.told(B);
    sweep.consider(peers);
    sweep.decided();
    t.mock.timers.tick(SWEEP_AFTER_MS - 1);
    assert.equal(swept, 0);
    t.mock.timers.tick(1);
    assert.equal(swept, 1);
  }
});

test('a node that is cut off since its start keeps its routes until somebody tells, or for a day', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const cutOff = (rounds: number, told: boolean): number => {
    let swept = 0;
    const sweep = new Sweep(() => {
      swept += 1;
    });
    sweep.consider([A, B]);
    for (let i = 0; i < rounds; i++) t.mock.timers.tick(SWEEP_AFTER_MS);
    if (told) {
      sweep.told(A);
      t.mock.timers.tick(SWEEP_AFTER_MS);
    }
    sweep.close();
    return swept;
  };
  assert.equal(cutOff(ROUNDS_MAX - 1, false), 0);
  assert.equal(cutOff(ROUNDS_MAX, false), 1);
  assert.equal(cutOff(5, true), 1);
});
