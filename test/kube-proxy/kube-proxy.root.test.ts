import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differential } from './differential.ts';

const WORLDS = 12;
/** The same worlds in every run; `make kube-proxy-differential SEED=` asks others. */
const SEED = 1;

test('random services: iptables-save shows the same after kube-proxy and after us', async (t) => {
  const { worlds, rules, differences } = await differential(SEED, WORLDS);
  t.diagnostic(`seed ${SEED}: ${worlds} worlds, ${rules} chains and rules`);
  assert.deepEqual(differences, []);
  assert.ok(rules > 0);
});
