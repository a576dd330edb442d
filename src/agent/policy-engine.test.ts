import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import pino from 'pino';
import { systemClock } from '../base/clock.io.ts';
import { OpError } from '../base/op-error.ts';
import type { KeyValue } from '../datastore/store.ts';
import type { Tables } from '../kernel/tables.ts';
import { ip } from '../net/ip.ts';
import { type Operation, operation, outcomeOf } from '../policy/world.cases.ts';
import { cleanUp, openPolicyEngine, type PolicyEngineOptions } from './policy-engine.io.ts';
import { StrictKernel } from './policy-kernel.cases.ts';

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
    ...extra,
  });

const items = (state: ReadonlyMap<string, string>): readonly KeyValue[] =>
  [...state].map(([key, value]) => ({ key, value, revision: 1n }));

const asChange = (change: Operation) =>
  change.kind === 'put'
    ? ({ kind: 'put', item: { key: change.key, value: change.value, revision: 1n } } as const)
    : ({ kind: 'delete', key: change.key, revision: 1n } as const);

const endpointKey = (pod: string): string =>
  `/calico/resources/v3/projectcalico.org/workloadendpoints/ns/node1-k8s-${pod}-eth0`;
const endpoint = (pod: string, ...more: readonly string[]): string =>
  JSON.stringify({
    kind: 'WorkloadEndpoint',
    metadata: { name: `node1-k8s-${pod}-eth0`, namespace: 'ns' },
    spec: { node: 'node1', interfaceName: `cali${pod}`, ipNetworks: ['10.1.0.1/32', ...more] },
  });

/** Long work takes several turns, the more the busier the machine is. */
const QUIET_TURNS = 200;

/** Resolves when nothing is written any more. */
async function quiet(kernel: StrictKernel): Promise<void> {
  let { commits } = kernel;
  for (let turns = 0; turns < QUIET_TURNS; turns++) {
    await setImmediate();
    if (kernel.commits !== commits) turns = 0;
    commits = kernel.commits;
  }
}

test('the kernel after any changes is that of a fresh start, and never without our hooks', async () => {
  const batches = fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(batches, batches, async (before, changes) => {
      const kernel = new StrictKernel();
      const old = open(kernel);
      old.snapshot(items(outcomeOf(before.flat())));
      await old.inSync();
      await old.close();
      kernel.onCommit = (table, chains) => {
        if (table === 'filter') assert.match(chains.get('FORWARD')![0]!, /jump cali-FORWARD/);
      };
      const engine = open(kernel);
      engine.snapshot(items(outcomeOf(before.flat())));
      for (const batch of changes) {
        engine.changes(batch.map(asChange));
        await setImmediate();
      }
      await engine.inSync();
      await quiet(kernel);
      await engine.close();
      const fresh = new StrictKernel();
      const other = open(fresh);
      other.snapshot(items(outcomeOf([...before, ...changes].flat())));
      await other.inSync();
      await other.close();
      kernel.dropUnusedSets();
      fresh.dropUnusedSets();
      assert.deepEqual(kernel.text(), fresh.text());
    }),
    { numRuns: 60 },
  );
});

test('sets that are no longer used go at the next check', async () => {
  const kernel = new StrictKernel();
  kernel.sets.set('cali40old', {
    name: 'cali40old',
    type: 'hash:net',
    family: 'inet',
    maxElements: 1,
    members: new Set(),
  });
  const engine = open(kernel, { checkMilliseconds: 1 });
  engine.snapshot([]);
  await engine.inSync();
  while (kernel.sets.has('cali40old')) await setTimeout(1);
  await engine.close();
  assert.deepEqual(engine.state().problem, undefined);
});

test('nothing is written before the first snapshot; a restart writes nothing', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel);
  const put = engine.putEndpoint(endpointKey('a'), endpoint('a'));
  engine.changes([]);
  await setImmediate();
  assert.equal(kernel.commits, 0);
  assert.equal(engine.state().ready, false);
  engine.snapshot([]);
  await put;
  assert.ok(kernel.chains.get('filter')!.has('cali-tw-calia'));
  await engine.inSync(); // IPv6's rules, for which it did not wait
  assert.deepEqual(engine.state(), { ready: true, chains: 48, ipSets: 6 });
  await engine.close();
  const { commits } = kernel;
  const restarted = open(kernel);
  restarted.snapshot([{ key: endpointKey('a'), value: endpoint('a'), revision: 2n }]);
  await restarted.inSync();
  assert.equal(kernel.commits, commits);
  restarted.removeEndpoint(endpointKey('a'));
  await quiet(kernel);
  assert.ok(!kernel.chains.get('filter')!.has('cali-tw-calia'));
  assert.equal(kernel.commits, commits + 1, 'only the filter table');
  await restarted.close();
});

test('what arrives while the kernel is written goes together', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel);
  engine.snapshot([]);
  await engine.inSync();
  const before = kernel.commits;
  const gate = Promise.withResolvers<void>();
  kernel.hold = gate.promise;
  const puts = ['a', 'b', 'c', 'd', 'e'].map((pod) =>
    engine.putEndpoint(endpointKey(pod), endpoint(pod)),
  );
  await setImmediate();
  gate.resolve();
  kernel.hold = undefined;
  await Promise.all(puts);
  assert.ok(kernel.commits - before <= 2);
  await engine.close();
});

test('a refusal is told, read back and tried again', async () => {
  const kernel = new StrictKernel();
  const refused = Promise.withResolvers<void>();
  const failed = (): void => refused.resolve();
  const observer = { failed, applied: () => undefined, programmed: () => undefined };
  const engine = open(kernel, { observer });
  engine.snapshot([]);
  await engine.inSync();
  kernel.refuse = 1;
  const put = engine.putEndpoint(endpointKey('a'), endpoint('a'));
  await refused.promise;
  while (engine.state().ready) await undefined; // in the same turn: the next one may try again
  assert.match(engine.state().problem ?? '', /line 1 failed/);
  kernel.chains.get('filter')!.set('FORWARD', []);
  await put;
  assert.equal(engine.state().ready, true);
  assert.equal(kernel.chains.get('filter')!.get('FORWARD')!.length, 3);
  await engine.close();
});

test('putEndpoint gives up in time', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { putTimeoutMilliseconds: 20 });
  engine.snapshot([]);
  await engine.inSync();
  kernel.refuse = 1_000;
  await assert.rejects(engine.putEndpoint(endpointKey('a'), endpoint('a')), (error) => {
    assert.ok(error instanceof OpError);
    assert.match(error.message, /line 1 failed/);
    return true;
  });
  await engine.close();
});

test('a caller may wait for another time', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { putTimeoutMilliseconds: 60_000 });
  engine.snapshot([]);
  await engine.inSync();
  kernel.refuse = 1_000;
  await assert.rejects(engine.putEndpoint(endpointKey('a'), endpoint('a'), 1n, 20), OpError);
  await engine.close();
});

test('what others flush is repaired', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { checkMilliseconds: 1 });
  engine.snapshot([{ key: endpointKey('a'), value: endpoint('a'), revision: 1n }]);
  await engine.inSync();
  const before = kernel.text();
  for (const chains of kernel.chains.values())
    for (const name of chains.keys()) chains.set(name, []);
  kernel.sets.get('cali40this-host')!.members.clear();
  const repaired = Promise.withResolvers<void>();
  const tables = new Set<string>();
  kernel.onCommit = (table) => {
    if (tables.add(table).size === 4) repaired.resolve();
  };
  await repaired.promise;
  while (kernel.sets.get('cali40this-host')!.members.size === 0) await setImmediate();
  assert.deepEqual(kernel.text(), before);
  await engine.close();
});

const chainsOf6 = (kernel: StrictKernel) => kernel.ipv6Chains.get('filter')!;
const IPV6 = 'fd00::1/128';

test('IPv6: an address brings the chains before the answer; without one the interface is unknown', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel);
  engine.snapshot([]);
  await engine.inSync();
  assert.match(chainsOf6(kernel).get('cali-from-wl-dispatch')!.at(-1)!, /DROP$/);
  const commits = kernel.commits;
  await engine.putEndpoint(endpointKey('a'), endpoint('a'));
  assert.equal(kernel.commits, commits + 1, 'one commit, for IPv4');
  assert.ok(!chainsOf6(kernel).has('cali-tw-calia'));
  await engine.putEndpoint(endpointKey('a'), endpoint('a', IPV6));
  assert.ok(chainsOf6(kernel).has('cali-tw-calia'));
  assert.ok(kernel.chains.get('filter')!.has('cali-tw-calia'));
  await engine.putEndpoint(endpointKey('a'), endpoint('a'));
  while (chainsOf6(kernel).has('cali-tw-calia')) await setImmediate();
  await engine.close();
});

test('IPv6 tables that refuse: IPv4 goes on, and nobody gets an IPv6 address without rules', async () => {
  const kernel = new StrictKernel();
  let refuses = true;
  const ipv6Tables: Tables = {
    ...kernel.ipv6Tables,
    commit: async (transaction) => {
      if (refuses) throw new OpError('ip6tables-restore', 'no such table');
      return kernel.ipv6Tables.commit(transaction);
    },
  };
  const engine = open(kernel, { ipv6Tables, putTimeoutMilliseconds: 50 });
  engine.snapshot([]);
  await engine.inSync();
  await engine.putEndpoint(endpointKey('a'), endpoint('a'));
  assert.equal(engine.state().ready, true);
  await assert.rejects(engine.putEndpoint(endpointKey('b'), endpoint('b', IPV6)), /no such table/);
  assert.match(engine.state().problem!, /no such table/);
  refuses = false;
  await engine.putEndpoint(endpointKey('b'), endpoint('b', IPV6), 0n, 5_000);
  assert.equal(engine.state().ready, true);
  await engine.close();
});

test('a machine without IPv6 refuses an endpoint with an address of it', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { ipv6Tables: undefined });
  engine.snapshot([]);
  await engine.inSync();
  await engine.putEndpoint(endpointKey('a'), endpoint('a'));
  await assert.rejects(engine.putEndpoint(endpointKey('b'), endpoint('b', IPV6)), /has no IPv6/);
  await engine.close();
});

test('what others flush in IPv6’s tables is repaired as well', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { checkMilliseconds: 1 });
  engine.snapshot([{ key: endpointKey('a'), value: endpoint('a', IPV6), revision: 1n }]);
  await engine.inSync();
  const before = kernel.text();
  for (const name of chainsOf6(kernel).keys()) chainsOf6(kernel).set(name, []);
  while (chainsOf6(kernel).get('FORWARD')!.length === 0) await setTimeout(1);
  assert.deepEqual(kernel.text(), before);
  await engine.close();
});

test('cleanUp leaves nothing of ours and all of others', async () => {
  const kernel = new StrictKernel();
  kernel.chains.get('filter')!.set('FORWARD', ['-j USER']);
  kernel.sets.set('users', {
    name: 'users',
    type: 'hash:ip',
    family: 'inet',
    maxElements: 1,
    members: new Set(['10.0.0.1']),
  });
  const before = kernel.text();
  const engine = open(kernel);
  engine.snapshot([{ key: endpointKey('a'), value: endpoint('a', 'fd00::1/128'), revision: 1n }]);
  await engine.inSync();
  await engine.close();
  assert.notDeepEqual(kernel.text(), before);
  await cleanUp(kernel.tables, kernel.ipSets, 4);
  await cleanUp(kernel.ipv6Tables, kernel.ipSets, 6);
  assert.deepEqual(kernel.text(), before);
});

test('a member that others took out of a set, or put into it, is noticed by the size', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { checkMilliseconds: 1 });
  void engine.snapshot([]);
  await engine.inSync();
  const set = kernel.sets.get('cali40this-host')!;
  const members = [...set.members];
  for (const change of [
    () => set.members.clear(),
    () => set.members.add('10.8.8.8'),
    () => void kernel.sets.delete('cali40network-ip-pools'),
  ]) {
    change();
    const isRight = () =>
      kernel.sets.has('cali40network-ip-pools') && set.members.size === members.length;
    while (!isRight()) await setTimeout(5);
    assert.deepEqual([...set.members].sort(), members.toSorted());
  }
  await engine.close();
});

test('a member that others have put in the place of another is found by the reading', async () => {
  const kernel = new StrictKernel();
  const engine = open(kernel, { checkMilliseconds: 1 });
  void engine.snapshot([]);
  await engine.inSync();
  const set = kernel.sets.get('cali40this-host')!;
  const members = [...set.members];
  set.members.delete(members[0]!);
  set.members.add('10.8.8.8');
  while (set.members.has('10.8.8.8')) await setTimeout(5);
  assert.deepEqual([...set.members].sort(), members.toSorted());
  await engine.close();
});
