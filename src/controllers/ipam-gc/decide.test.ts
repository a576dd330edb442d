import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { decide, type Observations } from './decide.ts';
import type { Allocation, Facts, OwnedBlock } from './facts.ts';
import { parseDuration } from './settings.ts';
import { isValid } from './valid.ts';

const GRACE = 1000;

const allocation = (about: Partial<Allocation> = {}): Allocation => ({
  ip: ip('10.0.0.1'),
  handle: 'net.c1',
  pool: 'p',
  owner: 'a',
  sequenceNumber: 7n,
  attributes: { node: 'a', pod: 'web', namespace: 'default' },
  ...about,
});

const facts = (about: Partial<Facts> = {}): Facts => ({
  allocations: [allocation()],
  blocks: [],
  pools: [],
  owners: new Set(),
  pods: new Map(),
  endpoints: new Map(),
  statefulSets: new Map(),
  machines: new Set(),
  keepsMachines: true,
  kubernetesNodes: new Set(['k-a']),
  nodes: new Map([['a', 'k-a']]),
  ...about,
});

const pod = (node: string | undefined, ips: readonly string[], isFinished = false) =>
  new Map([['default/web', { node, ips, isFinished }]]);
const wep = new Map([['default/web', new Set(['10.0.0.1'])]]);

const ofMachine = allocation({
  attributes: { node: 'a', pod: 'web', namespace: 'default', keep: 'true', 'vmi-name': 'db' },
});

/** The handles that a second look, so much later, releases. */
const after = (known: Facts, milliseconds: number): readonly string[] => {
  const { observations } = decide(known, new Map(), { now: 5, graceMilliseconds: GRACE });
  const look = { now: 5 + milliseconds, graceMilliseconds: GRACE };
  return decide(known, observations, look).releases.map(({ handle }) => handle);
};

test('who owns an address', () => {
  const tunnel = allocation({ attributes: { node: 'a', type: 'ipipTunnelAddress' } });
  const kept = (pod: string) =>
    allocation({
      attributes: { node: 'a', pod, namespace: 'default', keep: 'true', statefulset: 'db' },
    });
  const machines = new Set(['default/db']);
  const sets = new Map([['default/db', { first: 1, count: 2 }]]);
  const cases: readonly [string, boolean, Allocation, Partial<Facts>][] = [
    ['its pod by status', true, allocation(), { pods: pod('k-a', ['10.0.0.1']) }],
    ['its pod by endpoint', true, allocation(), { pods: pod('k-a', ['10.0.0.9']), endpoints: wep }],
    ['no such pod', false, allocation(), {}],
    ['no such pod, though an endpoint is left', false, allocation(), { endpoints: wep }],
    ['the pod is on another node', false, allocation(), { pods: pod('k-b', ['10.0.0.1']) }],
    ['the pod has another address', false, allocation(), { pods: pod('k-a', ['10.0.0.9']) }],
    ['the pod has none yet', true, allocation(), { pods: pod('k-a', []) }],
    ['the pod has ended', false, allocation(), { pods: pod('k-a', ['10.0.0.1'], true) }],
    ['no pod is named', true, allocation({ attributes: { node: 'a' } }), {}],
    ["a node's tunnel", true, tunnel, {}],
    ["a lost node's tunnel: with the node", true, tunnel, { kubernetesNodes: new Set() }],
    ["a forgotten node's", false, tunnel, { kubernetesNodes: new Set(), nodes: new Map() }],
    ['a service', true, allocation({ attributes: { type: 'service' } }), {}],
    ['an ordinal', true, kept('db-2'), { statefulSets: sets }],
    ['an ordinal too high', false, kept('db-3'), { statefulSets: sets }],
    ['an ordinal too low', false, kept('db-0'), { statefulSets: sets }],
    ['no such StatefulSet', false, kept('db-1'), {}],
    ['a VM’s, running or not', true, ofMachine, { machines }],
    ['a VM’s that is gone', false, ofMachine, {}],
    ['a VM’s that is gone, its pod not yet', true, ofMachine, { pods: pod('k-a', []) }],
    ['a VM’s where VMs keep none', false, ofMachine, { machines, keepsMachines: false }],
    [
      'kept for something else',
      true,
      allocation({ attributes: { node: 'a', keep: 'true', pod: 'x', namespace: 'default' } }),
      {},
    ],
  ];
  for (const [what, valid, one, about] of cases)
    assert.equal(isValid(facts(about), one), valid, what);
});

test('an address under another main plugin lives as long as its pod, whatever the status says', () => {
  const bridged = allocation({
    attributes: {
      node: 'a',
      pod: 'web',
      namespace: 'default',
      'calico-kit.io/main-plugin': 'bridge',
    },
  });
  const lives = (pods: Facts['pods']) => isValid(facts({ pods }), bridged);
  assert.equal(lives(pod('k-a', ['10.9.9.9'])), true);
  assert.equal(lives(pod('k-a', ['10.9.9.9'], true)), false);
  assert.equal(lives(new Map()), false);
});

test('one look never frees; a second one does after the grace period', () => {
  assert.deepEqual(decide(facts(), new Map(), { now: 5, graceMilliseconds: GRACE }).releases, []);
  assert.deepEqual(after(facts(), GRACE - 1), []);
  assert.deepEqual(after(facts(), GRACE), ['net.c1']);
});

test('a lost node has no grace, but two looks', () => {
  assert.deepEqual(after(facts({ kubernetesNodes: new Set() }), 0), ['net.c1']);
});

test('a VM’s address waits for five minutes at least, also when its node is lost', () => {
  for (const kubernetesNodes of [new Set<string>(), new Set(['k-a'])]) {
    const gone = facts({ allocations: [ofMachine], kubernetesNodes });
    assert.deepEqual(after(gone, 299_999), []);
    assert.deepEqual(after(gone, 300_000), ['net.c1']);
  }
});

test('a handle goes whole or not at all', () => {
  const used = allocation({ ip: ip('10.0.0.2'), attributes: { node: 'a' } });
  assert.deepEqual(after(facts({ allocations: [allocation(), used] }), GRACE), []);
});

test('what came back, or was given out anew, starts from the beginning', () => {
  const look = (now: number) => ({ now, graceMilliseconds: GRACE });
  const first = decide(facts(), new Map(), look(0));
  const back = decide(facts({ pods: pod('k-a', ['10.0.0.1']) }), first.observations, look(500));
  assert.deepEqual(decide(facts(), back.observations, look(GRACE)).releases, []);
  const anew = facts({ allocations: [allocation({ sequenceNumber: 8n })] });
  assert.deepEqual(decide(anew, first.observations, look(GRACE)).releases, []);
});

test('a grace period of 0 switches it off', () => {
  const look = { now: 9, graceMilliseconds: 0 };
  const { releases, candidates } = decide(facts(), new Map(), look);
  assert.deepEqual([releases, candidates], [[], []]);
});

const block = (third: number, used: number, about: Partial<OwnedBlock> = {}): OwnedBlock => ({
  cidr: cidr(`10.0.${third}.0/26`),
  pool: 'p',
  node: 'a',
  sequenceNumber: 1n,
  size: 64,
  used,
  ...about,
});

test('empty blocks: the node keeps one of each pool, and room in it', () => {
  const given = (blocks: readonly OwnedBlock[], later = blocks): readonly string[] => {
    const none = { allocations: [] };
    const look = { now: 0, graceMilliseconds: GRACE };
    const { observations } = decide(facts({ ...none, blocks }), new Map(), look);
    const second = decide(facts({ ...none, blocks: later }), observations, { ...look, now: GRACE });
    return second.emptyBlocks.map(({ cidr }) => cidr);
  };
  assert.deepEqual(given([block(0, 0)]), []);
  assert.deepEqual(given([block(0, 3), block(1, 0)]), ['10.0.1.0/26']);
  assert.deepEqual(given([block(0, 0), block(1, 0)]), ['10.0.0.0/26']);
  assert.deepEqual(given([block(0, 60), block(1, 0)]), [], 'it would be claimed again at once');
  assert.deepEqual(given([block(0, 3), block(1, 0, { pool: 'q' })]), []);
  assert.deepEqual(given([block(0, 3), block(1, 0, { node: 'b' })]), []);
  const usedBetween = [block(0, 3), block(1, 0, { sequenceNumber: 3n })];
  assert.deepEqual(given([block(0, 3), block(1, 0)], usedBetween), []);
});

test('blocks of a node that nobody knows', () => {
  const known = facts({ allocations: [], blocks: [block(1, 0)], owners: new Set(['a', 'gone']) });
  const first = decide(known, new Map(), { now: 0, graceMilliseconds: GRACE });
  assert.deepEqual(first.forgottenNodes, []);
  const second = decide(known, first.observations, { now: GRACE, graceMilliseconds: GRACE });
  assert.deepEqual(second.forgottenNodes, ['gone']);
});

test('whatever is seen when: only what had no owner at every look of a grace period goes', () => {
  const history = fc.array(fc.tuple(fc.boolean(), fc.nat(800)), { maxLength: 20 });
  fc.assert(
    fc.property(history, (looks) => {
      let observations: Observations = new Map();
      let now = 0;
      let unusedSince: number | undefined;
      for (const [used, wait] of looks) {
        now += wait;
        const known = facts(used ? { pods: pod('k-a', ['10.0.0.1']) } : {});
        const decision = decide(known, observations, { now, graceMilliseconds: GRACE });
        observations = decision.observations;
        const lasted = !used && unusedSince !== undefined && now - unusedSince >= GRACE;
        assert.equal(decision.releases.length, lasted ? 1 : 0);
        unusedSince = used ? undefined : (unusedSince ?? now);
      }
    }),
  );
});

test('durations as Kubernetes objects spell them', () => {
  const read = ['15m', '15m0s', '1h30m', '0', '0s', '250ms', '1.5s', 'soon', '5', ''];
  assert.deepEqual(read.map(parseDuration), [
    900_000,
    900_000,
    5_400_000,
    0,
    0,
    250,
    1500,
    undefined,
    undefined,
    undefined,
  ]);
});
