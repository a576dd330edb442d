import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip } from '../../net/ip.ts';
import { decide, type Observations } from './decide.ts';
import type { Allocation, Facts } from './facts.ts';
import { Witness } from './witness.ts';

const GRACE = 1000;

const address = (last: number, handle: string): Allocation => ({
  ip: ip(`10.0.0.${last}`),
  handle,
  pool: 'p',
  owner: 'a',
  sequenceNumber: 7n,
  attributes: { node: 'a', pod: handle, namespace: 'default' },
});
const two = [address(1, 'web'), address(2, 'web')];

/** Pods of these names live. */
const facts = (allocations: readonly Allocation[], living: readonly string[] = []): Facts => ({
  allocations,
  blocks: [],
  pools: [],
  owners: new Set(),
  pods: new Map(
    living.map((name) => [`default/${name}`, { node: 'k-a', ips: [], isFinished: false }]),
  ),
  endpoints: new Map(),
  statefulSets: new Map(),
  machines: new Set(),
  keepsMachines: true,
  kubernetesNodes: new Set(['k-a']),
  nodes: new Map([['a', 'k-a']]),
});

const judged = (
  looks: readonly (readonly [now: number, facts: Facts])[],
  about: Partial<Parameters<Witness['released']>[0]> = {},
): readonly string[] => {
  const witness = new Witness();
  for (const [now, seen] of looks) witness.look(seen, now);
  return witness.released({
    handle: 'web',
    freed: two,
    fresh: facts(two),
    graceMilliseconds: GRACE,
    ...about,
  });
};

test('I6: two looks that span the grace period, and one more question', () => {
  assert.deepEqual(
    judged([
      [0, facts(two)],
      [GRACE, facts(two)],
    ]),
    [],
  );
  assert.match(judged([[0, facts(two)]])[0]!, /^I6: 10\.0\.0\.1 of web was freed after one look/);
  assert.match(
    judged([
      [0, facts(two)],
      [GRACE - 1, facts(two)],
    ])[0]!,
    /after 999 ms of 1000 ms/,
  );
  const between = judged([
    [0, facts(two)],
    [500, facts(two, ['web'])],
    [GRACE, facts(two)],
  ]);
  assert.match(between[0]!, /after one look/, 'it had an owner in between');
  for (const fresh of [undefined, facts(two, ['web'])])
    assert.match(
      judged(
        [
          [0, facts(two)],
          [GRACE, facts(two)],
        ],
        { fresh },
      )[0]!,
      /without being asked for once more/,
    );
});

test('I6: a handle goes whole or not at all', () => {
  const looks = [
    [0, facts(two)],
    [GRACE, facts(two)],
  ] as const;
  assert.deepEqual(judged(looks, { freed: [two[0]!] }), ['I6: 10.0.0.2 stayed when web was freed']);
  assert.deepEqual(judged(looks, { freed: [] }), []);
});

test('I6: the address of a node that is gone needs two looks, but no grace', () => {
  const gone = {
    ...facts(two),
    kubernetesNodes: new Set<string>(),
    nodes: new Map([['a', 'k-a']]),
  };
  assert.deepEqual(
    judged(
      [
        [0, gone],
        [1, gone],
      ],
      { fresh: gone },
    ),
    [],
  );
  assert.match(judged([[0, gone]], { fresh: gone })[0]!, /after one look/);
});

test('I6: whatever is seen in whatever order, the decision never breaks it', () => {
  const handles = ['web', 'db'];
  const all = [...two, address(3, 'db')];
  const look = fc.record({
    passed: fc.integer({ min: 0, max: 2 * GRACE }),
    living: fc.subarray(handles),
    present: fc.subarray(all),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 8 }), (looks) => {
      const witness = new Witness();
      let observations: Observations = new Map();
      let now = 0;
      for (const { passed, living, present } of looks) {
        now += passed;
        const seen = facts(present, living);
        const decision = decide(seen, observations, { now, graceMilliseconds: GRACE });
        observations = decision.observations;
        witness.look(seen, now);
        for (const { handle, only } of decision.releases) {
          const release = { handle, freed: only, fresh: seen, graceMilliseconds: GRACE };
          assert.deepEqual(witness.released(release), []);
        }
      }
    }),
  );
});
