import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memoryIpSets, memoryTables } from '../../kernel/memory-tables.ts';
import type { TableContent } from '../../kernel/tables.ts';
import { type Additions, type Desired, NOTHING, renderHooks } from '../desired.ts';
import { dispatchChains } from '../render/dispatch-chains.ts';
import { type Chain, renderChain } from '../render/rule.ts';
import { PolicyWriter } from './writer.io.ts';

const endpointChain = (name: string): Chain => ({
  name,
  rules: [{ match: '', action: '--jump DROP' }],
});

function desiredOf(interfaces: readonly string[]): Desired {
  const chains = [
    ...dispatchChains('ingress', interfaces),
    ...dispatchChains('egress', interfaces),
    ...interfaces.flatMap((name) => [
      endpointChain(`cali-tw-${name}`),
      endpointChain(`cali-fw-${name}`),
    ]),
  ];
  const filter = {
    ...renderHooks('filter'),
    inserts: new Map(),
    appends: new Map(),
    chains: new Map(chains.map((c) => [c.name, renderChain(c)])),
  };
  return { tables: new Map([...NOTHING.tables]).set('filter', filter), ipSets: new Map() };
}

const additionsOf = (interfaces: readonly string[]): Additions => ({
  chains: interfaces.flatMap((name) => [
    renderChain(endpointChain(`cali-tw-${name}`)),
    renderChain(endpointChain(`cali-fw-${name}`)),
  ]),
  interfaces,
  ipSets: new Map(),
});

/** Where a packet from the interface ends: the endpoint's chain, or the drop of unknown ones. */
function verdict(content: TableContent, chain: string, name: string): string {
  for (const rule of content.get(chain) ?? []) {
    const interfaceMatch = /--(?:in|out)-interface (\S+)/.exec(rule)?.[1];
    const matches =
      interfaceMatch === undefined ||
      (interfaceMatch.endsWith('+')
        ? name.startsWith(interfaceMatch.slice(0, -1))
        : name === interfaceMatch);
    if (!matches) continue;
    const target = /--goto (\S+)/.exec(rule)?.[1];
    if (!target) return 'DROP';
    return /^cali-(tw|fw)-/.test(target) ? target : verdict(content, target, name);
  }
  return 'none';
}

test('additions: every endpoint is reached at once, nothing is deleted; whole equals a fresh start', async () => {
  const names = fc.uniqueArray(
    fc.constantFrom('cali1a', 'cali1b', 'cali2', 'cali2a', 'cali2a1', 'cali3', 'calif00'),
    { maxLength: 7 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(names, { minLength: 1, maxLength: 8 }), async (worlds) => {
      const tables = memoryTables();
      const writer = new PolicyWriter(tables, memoryIpSets(), 4);
      await writer.apply(desiredOf([]));
      const there = new Set<string>();
      for (const interfaces of worlds) {
        for (const name of interfaces) there.add(name);
        assert.notEqual(await writer.add(additionsOf(interfaces)), undefined);
        const content = await tables.read('filter');
        for (const name of there) {
          assert.equal(verdict(content, 'cali-to-wl-dispatch', name), `cali-tw-${name}`);
          assert.equal(verdict(content, 'cali-from-wl-dispatch', name), `cali-fw-${name}`);
        }
        assert.equal(verdict(content, 'cali-to-wl-dispatch', 'cali9'), 'DROP');
        if (interfaces.length !== 3) continue; // now and then things settle
        there.clear();
        for (const name of interfaces) there.add(name);
        await writer.apply(desiredOf(interfaces));
      }
      const last = desiredOf(worlds.at(-1)!);
      await writer.apply(last);
      const fresh = memoryTables();
      await new PolicyWriter(fresh, memoryIpSets(), 4).apply(last);
      const sorted = async (t: typeof tables) => new Map([...(await t.read('filter'))].sort());
      assert.deepEqual(await sorted(tables), await sorted(fresh));
      assert.equal(await writer.apply(last), 0);
    }),
  );
});

test('additions: nothing is known before the first whole', async () => {
  const writer = new PolicyWriter(memoryTables(), memoryIpSets(), 4);
  assert.equal(await writer.add(additionsOf(['cali1'])), undefined);
});

test('additions: a pod beside others is inserts and new chains, no deletion', async () => {
  const tables = memoryTables();
  const lines: string[] = [];
  const recording = {
    ...tables,
    commit: async (t: Parameters<typeof tables.commit>[0]) => {
      lines.push(...t.lines);
      await tables.commit(t);
    },
  };
  const writer = new PolicyWriter(recording, memoryIpSets(), 4);
  await writer.apply(desiredOf(['cali1', 'cali3']));
  lines.length = 0;
  await writer.add(additionsOf(['cali2']));
  const flushed = lines.filter((line) => line.startsWith(':')).map((line) => line.split(' ')[0]);
  assert.deepEqual(flushed.sort(), [':cali-fw-cali2', ':cali-tw-cali2']);
  const inserts = lines.filter((line) => line.startsWith('-I '));
  assert.equal(inserts.length, 2);
  assert.ok(
    inserts.every((line) => !/^-I \S+ \d/.test(line)),
    'at the head: no rule is counted',
  );
  lines.length = 0;
  await writer.add(additionsOf(['cali1', 'cali2', 'cali3']));
  assert.deepEqual(lines, []);
});
