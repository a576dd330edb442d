// No gap: forbidden datagrams are sent without a pause while pods come and go, policies change and the
// engine restarts, and none may pass. RACES=1000 for as many of these races; what is allowed must pass,
// which shows that the forbidden ones could.
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { PolicyEngine } from '../../src/agent/policy-engine.io.ts';
import type { KeyValue } from '../../src/datastore/store.ts';
import { run } from '../lab/command.ts';
import type { TestNetns } from '../lab/netns.ts';
import { ALLOWED, Flood } from './flooding.ts';
import { type Bench, endpoint, type Pod, PROFILE, stored, withPods } from './policy-pods.ts';

const RACES = Number(process.env['RACES'] || 60);
/** A slow agent is slow for so long at most, and once for SLOWEST_MILLISECONDS. */
const SLOW_MILLISECONDS = 40;
const SLOWEST_MILLISECONDS = 5_000;

const chance = (below: number): number => Math.random() * below;

const shut = (name: string, more: object = {}): KeyValue =>
  stored(`networkpolicies/default/knp.default.${name}`, 'NetworkPolicy', {
    order: 1000,
    selector: "app == 'victim'",
    types: ['Ingress'],
    ingress: [{ action: 'Allow', protocol: 'UDP', destination: { ports: [ALLOWED] } }],
    ...more,
  });

/** The victim's link anew, at once up and with its route: nothing waits for the engine. */
function rewire(node: TestNetns, { name, address, netns }: Pod): void {
  const device = `cali${name}`;
  run(
    ['ip', '-n', node.name, '-batch', '-'],
    `link del ${device}\nlink add ${device} type veth peer name eth0 netns ${netns.name}\n`,
  );
  run(
    ['ip', '-n', netns.name, '-batch', '-'],
    [
      `address add ${address}/32 dev eth0`,
      'link set eth0 address ee:00:00:00:00:01 up',
      'route add 169.254.1.1 dev eth0 scope link',
      'route add default via 169.254.1.1 dev eth0',
      '',
    ].join('\n'),
  );
  run(
    ['ip', '-n', node.name, '-batch', '-'],
    [
      `link set ${device} address ee:ee:ee:ee:ee:ee up`,
      `neigh replace ${address} dev ${device} lladdr ee:00:00:00:00:01`,
      `route add ${address} dev ${device} scope link`,
      '',
    ].join('\n'),
  );
}

const put = (item: KeyValue) => ({ kind: 'put', item }) as const;
const remove = ({ key }: KeyValue) => ({ kind: 'delete', key, revision: 1n }) as const;

interface Race {
  readonly bench: Bench;
  readonly engine: PolicyEngine;
  readonly flood: Flood;
  readonly victim: Pod;
  readonly stranger: KeyValue;
}

/** As CNI ADD tells of it, and the watch after it. */
async function added(engine: PolicyEngine, item: KeyValue): Promise<void> {
  await engine.putEndpoint(item.key, item.value);
  engine.changes([put(item)]);
}

/** A pod starts, is served, and its namespace is deleted: the policies go last. */
async function podComesAndGoes({ bench, engine, flood, victim }: Race, slow: number) {
  const own = endpoint(victim, 'victim');
  const policy = shut('victim');
  rewire(bench.node, victim);
  await setTimeout(slow);
  engine.changes([put(policy)]);
  await added(engine, own);
  await flood.allowedPasses();
  engine.removeEndpoint(own.key);
  await setTimeout(chance(3));
  engine.changes([remove(own), remove(policy)]);
  await setTimeout(chance(10));
  flood.assertNoGap('pod start and namespace deletion');
}

/** Policies that all forbid it take each other's place. */
async function policyChanges({ engine, flood, victim }: Race, round: number): Promise<void> {
  const own = endpoint(victim, 'victim');
  const policy = shut('victim');
  engine.changes([put(policy)]);
  await added(engine, own);
  const other = endpoint(victim, 'other');
  const forOther = shut('other', { selector: "app == 'other'" });
  const changes = [
    [put(shut('victim', { order: round }))],
    [put(shut('victim', { types: ['Ingress', 'Egress'], egress: [{ action: 'Allow' }] }))],
    [put(shut('second', { order: 1 })), remove(policy)],
    [put(policy), remove(shut('second'))],
    [put(forOther), put(other), remove(policy)],
    [put(policy), put(own)],
    [remove(forOther)],
  ];
  for (const [step, change] of changes.entries()) {
    engine.changes(change);
    await setTimeout(chance(8));
    await flood.allowedPasses();
    flood.assertNoGap(`policy update ${step}`);
  }
}

/** The engine goes and comes back, slow. */
async function restarts({ bench, engine, flood, victim, stranger }: Race): Promise<PolicyEngine> {
  await engine.close();
  await setTimeout(chance(SLOW_MILLISECONDS));
  const items = [PROFILE, stranger, endpoint(victim, 'victim'), shut('victim')];
  const next = bench.start(items, { settleMilliseconds: 50 });
  await next.inSync();
  await flood.allowedPasses();
  flood.assertNoGap('restart');
  return next;
}

test(`${RACES} races, and not one forbidden datagram passes`, { timeout: 1_800_000 }, () =>
  withPods(['a', 'v'], async (bench) => {
    const [attacker, victim] = bench.pods as [Pod, Pod];
    const stranger = endpoint(attacker, 'stranger');
    let engine = bench.start([PROFILE, stranger], { settleMilliseconds: 50 });
    await engine.inSync();
    const flood = new Flood(attacker, victim);
    try {
      for (let round = 0; round < RACES; round++) {
        const race: Race = { bench, engine, flood, victim, stranger };
        const kind = round % 4;
        const slow = round === 0 ? SLOWEST_MILLISECONDS : chance(SLOW_MILLISECONDS);
        if (kind < 2) await podComesAndGoes(race, slow);
        else if (kind === 2) await policyChanges(race, round);
        else engine = await restarts(race);
      }
    } finally {
      flood.close();
    }
  }),
);
