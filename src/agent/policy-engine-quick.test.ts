// The engine's quick rounds (policy/write/additions.ts): what they leave out, failures between them
// and the whole, and that the whole comes although changes do not stop.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import pino from 'pino';
import { systemClock } from '../base/clock.io.ts';
import { OpError } from '../base/op-error.ts';
import type { Change, KeyValue } from '../datastore/store.ts';
import type { Tables } from '../kernel/tables.ts';
import { ip } from '../net/ip.ts';
import { type Operation, operation, outcomeOf } from '../policy/world.cases.ts';
import { openPolicyEngine, type PolicyEngineOptions } from './policy-engine.io.ts';
import { StrictKernel } from './policy-kernel.cases.ts';

const NEVER = 100_000;

const open = (kernel: StrictKernel, extra: Partial<PolicyEngineOptions> = {}) =>
  openPolicyEngine({
    node: 'node1',
    tables: kernel.tables,
    ipv6Tables: kernel.ipv6Tables,
    ipSets: kernel.ipSets,
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => ip('10.9.0.1'),
    log: pino({ level: 'silent' }),
    clock: systemClock,
    settleMilliseconds: NEVER,
    checkMilliseconds: NEVER,
    ...extra,
  });

const ROOT = '/calico/resources/v3/projectcalico.org';
const keyOf = (pod: string): string => `${ROOT}/workloadendpoints/ns/node1-k8s-${pod}-eth0`;
const POLICY_KEY = `${ROOT}/globalnetworkpolicies/g`;

const endpoint = (pod: string, profiles: readonly string[] = [], name = `cali${pod}`): string =>
  JSON.stringify({
    kind: 'WorkloadEndpoint',
    metadata: { name: `node1-k8s-${pod}-eth0`, namespace: 'ns' },
    spec: { node: 'node1', interfaceName: name, ipNetworks: ['10.1.0.1/32'], profiles },
  });
const policy = (action: string): string =>
  JSON.stringify({
    kind: 'GlobalNetworkPolicy',
    metadata: { name: 'g' },
    spec: { selector: 'all()', types: ['Ingress'], ingress: [{ action }] },
  });
const item = (key: string, value: string): KeyValue => ({ key, value, revision: 1n });
const put = (key: string, value: string): Change => ({ kind: 'put', item: item(key, value) });
const asChange = (change: Operation): Change =>
  change.kind === 'put'
    ? put(change.key, change.value)
    : { kind: 'delete', key: change.key, revision: 1n };
const items = (operations: readonly Operation[]): readonly KeyValue[] =>
  [...outcomeOf(operations)].map(([key, value]) => item(key, value));

async function fresh(operations: readonly Operation[]): Promise<StrictKernel> {
  const kernel = new StrictKernel();
  const engine = open(kernel);
  engine.snapshot(items(operations));
  await engine.inSync();
  await engine.close();
  return kernel;
}

test('between settlings every chain and set that a fresh start writes is there, and the same', async () => {
  const batches = fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(batches, async (changes) => {
      const kernel = new StrictKernel();
      const engine = open(kernel);
      engine.snapshot([]);
      await engine.inSync();
      for (const [at, batch] of changes.entries()) {
        engine.changes(batch.map(asChange));
        for (let turn = 0; turn < 200; turn++) await setImmediate();
        const expected = await fresh(changes.slice(0, at + 1).flat());
        for (const family of ['chains', 'ipv6Chains'] as const)
          for (const [name, rules] of expected[family].get('filter')!)
            if (!name.includes('dispatch'))
              assert.deepEqual(kernel[family].get('filter')!.get(name), rules, name);
        for (const [name, { members }] of expected.sets)
          assert.deepEqual(kernel.sets.get(name)?.members, members, name);
      }
      await engine.close();
    }),
    { numRuns: 60 },
  );
});

test('endpoints that come together write the chain of their profile once', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel);
  engine.snapshot([]);
  await engine.inSync();
  const profiles = ['kns.ns'];
  engine.changes(['a', 'b'].map((pod) => put(keyOf(pod), endpoint(pod, profiles))));
  await engine.putEndpoint(keyOf('c'), endpoint('c', profiles));
  const expected = await fresh([{ kind: 'put', key: keyOf('a'), value: endpoint('a', profiles) }]);
  const name = 'cali-pri-kns.ns';
  assert.deepEqual(
    kernel.chains.get('filter')!.get(name),
    expected.chains.get('filter')!.get(name),
  );
  await engine.close();
});

test('of two endpoints on one interface the one without it does not overwrite the other', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel);
  engine.snapshot(['a', 'b'].map((pod) => item(keyOf(pod), endpoint(pod, [], 'caliz'))));
  await engine.inSync();
  const before = kernel.chains.get('filter')!.get('cali-tw-caliz');
  await engine.putEndpoint(keyOf('a'), endpoint('a', ['kns.ns'], 'caliz'));
  assert.deepEqual(kernel.chains.get('filter')!.get('cali-tw-caliz'), before);
  await engine.close();
});

test('what a whole round that failed was to write is not forgotten by the quick ones after it', async () => {
  const kernel = new StrictKernel();
  let unreadable = false;
  const tables: Tables = {
    ...kernel.tables,
    read: async (table) => {
      if (unreadable && table === 'nat') throw new OpError('iptables-save', 'refused');
      return kernel.tables.read(table);
    },
  };
  const engine = open(kernel, { tables, checkMilliseconds: 1 });
  engine.snapshot([item(keyOf('a'), endpoint('a')), item(POLICY_KEY, policy('Allow'))]);
  await engine.inSync();
  unreadable = true;
  while (engine.state().ready) await setTimeout(1);
  engine.changes([put(POLICY_KEY, policy('Deny'))]);
  const added = engine.putEndpoint(keyOf('b'), endpoint('b'));
  await Promise.race([added, setTimeout(600)]); // two retries
  assert.equal(engine.state().ready, false);
  unreadable = false;
  await added;
  const chains = kernel.chains.get('filter')!;
  assert.ok(chains.has('cali-tw-calib'));
  assert.match(chains.get('cali-pi-gnp/g')!.join('\n'), /DROP/);
  await engine.close();
});

for (const [told, settleMilliseconds] of [
  ['by DEL', 1],
  ['by DEL', 1_000],
  ['by the watch', 1_000],
] as const)
  test(`changes that do not stop do not keep what is surplus, told ${told}, settling after ${settleMilliseconds} ms`, async () => {
    const kernel = new StrictKernel();
    const slowly: Tables = {
      ...kernel.tables,
      commit: async (transaction) => {
        await setTimeout(3);
        await kernel.tables.commit(transaction);
      },
    };
    const engine = open(kernel, { tables: slowly, settleMilliseconds });
    engine.snapshot([]);
    await engine.inSync();
    let most = 0;
    const churn = async (lane: number): Promise<void> => {
      for (let turn = 0; turn < 100; turn++) {
        const pod = `${lane}x${turn}`;
        await engine.putEndpoint(keyOf(pod), endpoint(pod), 1n);
        if (told === 'by DEL') engine.removeEndpoint(keyOf(pod));
        else engine.changes([{ kind: 'delete', key: keyOf(pod), revision: 2n }]);
        const chains = [...kernel.chains.get('filter')!.keys()];
        most = Math.max(most, chains.filter((name) => name.startsWith('cali-tw-')).length);
      }
    };
    await Promise.all([0, 1, 2, 3].map(churn));
    await engine.close();
    assert.ok(most < 100, `${most} endpoints' chains at a time`);
  });

test('what others flush is repaired while changes go on', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { settleMilliseconds: 1_000, checkMilliseconds: 20 });
  engine.snapshot([]);
  await engine.inSync();
  await engine.putEndpoint(keyOf('a'), endpoint('a'));
  kernel.chains.get('filter')!.set('FORWARD', []);
  const flushed = () => kernel.chains.get('filter')!.get('FORWARD')!.length === 0;
  // Endpoints that come and go settle at 32; each way there is longer than a check's period.
  for (let turn = 0; turn < 300 && flushed(); turn++) {
    await engine.putEndpoint(keyOf(`x${turn}`), endpoint(`x${turn}`));
    engine.removeEndpoint(keyOf(`x${turn}`));
    await setTimeout(1);
  }
  assert.ok(!flushed());
  await engine.close();
});

test('a restore that hangs is told before its own limit, and forgotten once it is through', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { patienceMilliseconds: 5 });
  engine.snapshot([]);
  await engine.inSync();
  const gate = Promise.withResolvers<void>();
  kernel.hold = gate.promise;
  const put = engine.putEndpoint(keyOf('a'), endpoint('a'));
  while (engine.state().ready) await setTimeout(1);
  assert.match(engine.state().problem ?? '', /has not taken the rules for 5 ms/);
  kernel.hold = undefined;
  gate.resolve();
  await put;
  assert.equal(engine.state().problem, undefined);
  await engine.close();
});
