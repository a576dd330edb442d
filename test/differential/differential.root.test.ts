import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differential } from './kernel.ts';

const SECONDS = 60;

test('random worlds: kernel, evaluator and reference give every packet the same verdict', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const started = performance.now();
  const outcome = await differential(seed, () => performance.now() - started < SECONDS * 1000);
  const { worlds, probes, allowed, differences } = outcome;
  t.diagnostic(`seed ${seed}: ${worlds} worlds, ${probes} probes, ${allowed} allowed`);
  assert.deepEqual(differences, []);
  assert.ok(allowed > 0);
});
