import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differential } from './kernel.ts';

const SECONDS = 60;
/** The same worlds in every run; `make differential SEED=` asks others. */
const SEED = 1;

test('random worlds: kernel, evaluator and reference give every packet the same verdict', async (t) => {
  const started = performance.now();
  const outcome = await differential(SEED, () => performance.now() - started < SECONDS * 1000);
  const { worlds, probes, allowed, differences } = outcome;
  t.diagnostic(`seed ${SEED}: ${worlds} worlds, ${probes} probes, ${allowed} allowed`);
  assert.deepEqual(differences, []);
  assert.ok(allowed > 0);
});
