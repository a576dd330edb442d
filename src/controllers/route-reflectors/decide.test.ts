import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Candidate, chooseReflectors, type Facts, nextStep, type Step } from './decide.ts';

const node = (name: string, over: Partial<Candidate> = {}): Candidate => ({
  name,
  zone: '',
  eligible: true,
  wanted: true,
  alive: true,
  labelled: false,
  reflecting: false,
  ...over,
});
const facts = (over: Partial<Facts> = {}): Facts => ({
  nodes: ['a', 'b', 'c', 'd'].map((name) => node(name)),
  perZone: 2,
  meshEnabled: true,
  peerInPlace: false,
  settled: true,
  ...over,
});
const byName = (name: string): string => name;

/** The facts after a step. */
function after(now: Facts, step: Step): Facts {
  const set = (names: readonly string[], change: Partial<Candidate>): Facts => ({
    ...now,
    nodes: now.nodes.map((one) => (names.includes(one.name) ? { ...one, ...change } : one)),
  });
  switch (step.kind) {
    case 'label':
      return { ...set(step.nodes, { labelled: true }), peerInPlace: true };
    case 'reflect':
      return set(step.nodes, { reflecting: true });
    case 'stopReflecting':
      return set(step.nodes, { reflecting: false });
    case 'unlabel':
      return set(step.nodes, { labelled: false });
    case 'meshOff':
    case 'meshOn':
      return { ...now, meshEnabled: step.kind === 'meshOn' };
    case 'removePeer':
      return { ...now, peerInPlace: false };
  }
}

/** Whether every node has a way to every other: a mesh, or a reflector that all peer with. */
const connected = (now: Facts): boolean => {
  const reflectors = now.nodes.filter((one) => one.alive && one.labelled && one.reflecting);
  const whole = now.peerInPlace && reflectors.length > 0;
  // A node that reflects is no member of the mesh: it needs the peering.
  const meshed = now.meshEnabled && now.nodes.every((one) => !one.reflecting || one.labelled);
  return whole || (meshed && now.nodes.every((one) => !one.reflecting || now.peerInPlace));
};

function run(start: Facts, rank = byName): { readonly end: Facts; readonly steps: Step[] } {
  const steps: Step[] = [];
  let now = start;
  for (let step = nextStep(now, rank); step; step = nextStep(now, rank)) {
    steps.push(step);
    assert.ok(steps.length < 20, 'it comes to an end');
    const before = connected(now);
    now = after(now, step);
    assert.ok(!before || connected(now), `connected after ${JSON.stringify(step)}`);
  }
  return { end: now, steps };
}

test('from the mesh: labels with the BGPPeer, cluster IDs, mesh off; and back', () => {
  const { end, steps } = run(facts());
  assert.deepEqual(steps, [
    { kind: 'label', nodes: ['a', 'b'] },
    { kind: 'reflect', nodes: ['a', 'b'] },
    { kind: 'meshOff' },
  ]);
  assert.deepEqual(run({ ...end, perZone: 0 }).steps, [
    { kind: 'meshOn' },
    { kind: 'stopReflecting', nodes: ['a', 'b'] },
    { kind: 'unlabel', nodes: ['a', 'b'] },
    { kind: 'removePeer' },
  ]);
});

test('only the first step is taken before things have settled', () => {
  const first = nextStep(facts({ settled: false }), byName);
  assert.deepEqual(first, { kind: 'label', nodes: ['a', 'b'] });
  assert.equal(nextStep({ ...after(facts(), first!), settled: false }, byName), undefined);
});

test('each zone has its own; a node that is cordoned or not ready is passed over', () => {
  const nodes = [
    node('a', { zone: 'x', eligible: false }),
    node('b', { zone: 'x' }),
    node('c', { zone: 'y' }),
    node('d', { zone: 'y' }),
  ];
  assert.deepEqual(chooseReflectors({ nodes, perZone: 1 }, byName), ['b', 'c']);
});

test('a reflector that dies is replaced before it is retired; others keep their place', () => {
  const { end } = run(facts());
  const nodes = end.nodes.map((one) =>
    one.name === 'a' ? { ...one, eligible: false, alive: false } : one,
  );
  assert.deepEqual(run({ ...end, nodes }).steps, [
    { kind: 'label', nodes: ['c'] },
    { kind: 'reflect', nodes: ['c'] },
    { kind: 'stopReflecting', nodes: ['a'] },
    { kind: 'unlabel', nodes: ['a'] },
  ]);
});

test('all reflectors dead and no mesh: new ones do not wait', () => {
  const { end } = run(facts());
  const nodes = end.nodes.map((one) =>
    one.reflecting ? { ...one, eligible: false, alive: false } : one,
  );
  const dead = { ...end, nodes, settled: false };
  const first = nextStep(dead, byName);
  assert.deepEqual(first, { kind: 'label', nodes: ['c', 'd'] });
  assert.deepEqual(nextStep(after(dead, first!), byName), { kind: 'reflect', nodes: ['c', 'd'] });
});

test('when no node can reflect, nothing is taken away', () => {
  const { end } = run(facts());
  const nodes = end.nodes.map((one) => ({ ...one, eligible: false, alive: false }));
  assert.equal(nextStep({ ...end, nodes }, byName), undefined);
});

test('property: whatever changes between, all stay connected and it comes to rest', () => {
  const change = fc.record({
    eligible: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    wanted: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    perZone: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      let now = facts({ nodes: ['a', 'b', 'c', 'd', 'e'].map((name) => node(name)) });
      for (const { eligible, wanted, perZone } of changes) {
        const nodes = now.nodes.map((one, i) => ({
          ...one,
          eligible: eligible[i]!,
          alive: eligible[i]!,
          wanted: wanted[i]!,
        }));
        now = run({ ...now, nodes, perZone }).end;
      }
      const wanted = chooseReflectors(now, byName);
      if (wanted.length > 0 || now.perZone === 0)
        assert.deepEqual(
          now.nodes.filter(({ reflecting }) => reflecting).map(({ name }) => name),
          [...wanted].toSorted(),
        );
    }),
  );
});
