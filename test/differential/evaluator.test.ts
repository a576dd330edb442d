// The evaluator and the reference agree on random worlds; the kernel is asked by `make differential`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyModel } from '../../src/policy/explain/model.ts';
import { Chance } from './chance.ts';
import { evaluated, probesOf } from './probes.ts';
import { arrives } from './reference.ts';
import { storedWorld } from './stored-world.ts';
import { randomWorld } from './world.ts';

test('3,000 random worlds', () => {
  let allowed = 0;
  for (let seed = 1; seed <= 3000; seed++) {
    const chance = new Chance(seed);
    const world = randomWorld(chance);
    const model = new PolicyModel();
    for (const { key, value } of storedWorld(world)) model.put(key, value);
    for (const probe of probesOf(world, chance, 24)) {
      const wanted = arrives(world, probe);
      if (wanted) allowed++;
      const { from, to, family, protocol, port } = probe;
      const words = `${from.name} -> ${to.name} IPv${family} ${protocol} ${port}`;
      assert.equal(evaluated(model, probe), wanted, `seed ${seed}: ${words}`);
    }
  }
  assert.ok(allowed > 3000, 'a good part is allowed');
});
