// The real packet filter commands, in a namespace of their own, for both backends.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { run } from '../../test/lab/command.ts';
import { inFreshNetns, netnsPath, withNetns } from '../../test/lab/netns.ts';
import { openIpSets } from './ipset/ipsets.io.ts';
import { openTables } from './iptables/tables.io.ts';
import { tablesCases } from './tables.cases.ts';
import type { IpSetChange, IpSetMeta } from './tables.ts';

let number = 0;
const prefix = (): string => `ckt-tables-${process.pid}-${++number}`;

for (const backend of ['nft', 'legacy'] as const) {
  tablesCases(backend, async () => {
    const { name, remove } = withNetns(prefix(), ['h'])[0]!;
    const place = { netnsPath: netnsPath(name) };
    return {
      tables: await openTables({ ...place, backend }),
      ipSets: await openIpSets(place),
      done: remove,
    };
  });
}

const SET: IpSetMeta = { name: 'cali40s:a', type: 'hash:ip', family: 'inet', maxElements: 65536 };
const add = (member: string): IpSetChange => ({ kind: 'add', name: SET.name, member });

/** Runs `work` 200 times and prints what one takes. */
async function timed(what: string, work: (i: number) => Promise<void>): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const started = performance.now();
    await work(i);
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  console.log(`${what}: ${times[100]!.toFixed(2)} ms, p95 ${times[190]!.toFixed(2)} ms`);
}

test('nft: 200 commits through one child', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const tables = await openTables({ netnsPath: path! });
    await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]'] });
    await timed('one chain', (i) =>
      tables.commit({
        table: 'filter',
        lines: [':cali-A - [0:0]', `-A cali-A -s 10.0.0.${i}/32 -j DROP`],
      }),
    );
    assert.deepEqual((await tables.read('filter')).get('cali-A'), ['-s 10.0.0.199/32 -j DROP']);
    await tables.close();
    await assert.rejects(tables.commit({ table: 'filter', lines: [] }), /it is closed/);
  }));

test('nft: a child that had a long transaction is let go at rest; the next one has another', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const children = (): string =>
      readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
    const tables = await openTables({ netnsPath: path!, backend: 'nft' });
    const rules = Array.from({ length: 1500 }, (_, i) => `-A cali-A -s 10.0.${i >> 8}.${i & 255}`);
    const before = children();
    await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]', ...rules] });
    assert.notEqual(children(), before);
    const startedAt = performance.now();
    while (children() !== before) {
      assert.ok(performance.now() - startedAt < 10_000, 'the child stays');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]', '-A cali-A -j DROP'] });
    assert.deepEqual((await tables.read('filter')).get('cali-A'), ['-j DROP']);
    await tables.close();
    assert.equal(children(), before);
  }));

test('ipset: 200 commits through one child, with 500 other sets', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const ipSets = await openIpSets({ netnsPath: path! });
    const others = Array.from({ length: 500 }, (_, i) => `cali40s:${i}`);
    await ipSets.commit(others.map((name) => ({ kind: 'create', set: { ...SET, name } })));
    await ipSets.commit([{ kind: 'create', set: SET }]);
    await timed('one member', (i) => ipSets.commit([add(`10.0.0.${i}`)]));
    assert.equal((await ipSets.read(SET.name))[0]!.members.size, 200);
    await ipSets.close();
  }));

test('ipset: a large commit is in the kernel when it resolves', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const ipSets = await openIpSets({ netnsPath: path! });
    const members = Array.from({ length: 25_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    await ipSets.commit([{ kind: 'create', set: SET }, ...members.map(add)]);
    assert.equal((await ipSets.read(SET.name))[0]!.members.size, 25_000);
    await ipSets.close();
  }));

test('ipset: members of both families read back as they were written', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const ipSets = await openIpSets({ netnsPath: path! });
    const cases = [
      ['hash:net', 'inet', '10.0.0.0/8', '10.1.2.3', '0.0.0.0/1'],
      ['hash:net', 'inet6', '::/1', 'fd00::/8', 'fd00::1', '::ffff:a03:400/120', '::a01:203'],
      ['hash:net', 'inet6', '1:0:2:3:4:5:6:7', '::2:0:0:1', '1:2:3:4:5:6::', '::1', '::a:1'],
      ['hash:ip,port', 'inet6', 'fd00::1,tcp:80', '::ffff:a03:401,udp:53'],
    ] as const;
    for (const [i, [type, family, ...members]] of cases.entries()) {
      const name = `cali60${i}`;
      const set: IpSetMeta = { name, type, family, maxElements: 64 };
      const adds = members.map((member) => ({ kind: 'add', name, member }) as const);
      await ipSets.commit([{ kind: 'create', set }, ...adds]);
      assert.deepEqual((await ipSets.read(name))[0]!.members, new Set(members));
    }
    await ipSets.close();
  }));

test('ipset: two of us do not disturb each other, and leave no set behind', () =>
  inFreshNetns(prefix(), 1, async ([name], [path]) => {
    const one = await openIpSets({ netnsPath: path! });
    await one.commit([{ kind: 'create', set: SET }, add('10.0.0.1')]);
    const two = await openIpSets({ netnsPath: path! });
    await two.commit([add('10.0.0.2')]);
    await two.close();
    await one.commit([add('10.0.0.3')]); // its acknowledgement set is gone, its work is done
    await assert.rejects(one.commit([add('10.0.0.3')]), /refused: add cali40s:a 10.0.0.3/);
    await one.commit([add('10.0.0.4')]);
    assert.equal((await one.read(SET.name))[0]!.members.size, 4);
    await one.commit([{ kind: 'destroy', name: SET.name }]);
    await one.close();
    assert.equal(run(['ip', 'netns', 'exec', name!, 'ipset', 'list', '-n']), '');
  }));

test('the backend is found, and another writer is not shut out', () =>
  inFreshNetns(prefix(), 1, async ([name], [path]) => {
    const other = (command: string): string =>
      run(['ip', 'netns', 'exec', name!, ...command.split(' ')]);
    other('iptables-legacy -t mangle -N KUBE-KUBELET-CANARY');
    const tables = await openTables({ netnsPath: path! });
    await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]'] });
    other('iptables-legacy -A cali-A -j RETURN');
    await tables.commit({ table: 'filter', lines: ['-A cali-A -j DROP'] });
    assert.deepEqual((await tables.read('filter')).get('cali-A'), ['-j RETURN', '-j DROP']);
    assert.doesNotMatch(other('iptables-nft-save'), /cali-/);
    await tables.close();
  }));

test('IPv6 rules have tables of their own', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const six = await openTables({ netnsPath: path!, family: 6 });
    await six.commit({
      table: 'filter',
      lines: [':cali-A - [0:0]', '-A cali-A -s fd00:7::/64 -j DROP'],
    });
    assert.deepEqual((await six.read('filter')).get('cali-A'), ['-s fd00:7::/64 -j DROP']);
    await six.close();
  }));

test('a table that the kernel does not have holds nothing', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    for (const backend of ['nft', 'legacy'] as const) {
      const tables = await openTables({ netnsPath: path!, backend, family: 6 });
      assert.deepEqual(await tables.read('absent' as 'nat'), new Map());
      await tables.close();
    }
  }));

test('a command that is not there is an OpError', () =>
  inFreshNetns(prefix(), 1, async (_names, [path]) => {
    const tables = await openTables({ netnsPath: path!, backend: 'nft' });
    const commands = process.env['PATH'];
    process.env['PATH'] = '/nonexistent';
    try {
      await assert.rejects(tables.commit({ table: 'filter', lines: [] }), { name: 'OpError' });
      await assert.rejects(tables.read('filter'), { name: 'OpError' });
    } finally {
      process.env['PATH'] = commands;
    }
    await tables.close();
  }));

test('nft: others’ changes to any table change the generation; ours and reading do not', () =>
  inFreshNetns(prefix(), 1, async ([name], [path]) => {
    const [one, other] = [
      await openTables({ netnsPath: path!, backend: 'nft' }),
      await openTables({ netnsPath: path!, backend: 'nft', family: 6 }),
    ];
    const steps: readonly (readonly string[])[] = [
      [':cali-A - [0:0]', '-A cali-A -j ACCEPT', '-A OUTPUT -j cali-A'],
      ['-I cali-A 1 -j ACCEPT', '-I cali-A 1 -j RETURN'],
      [':cali-A - [0:0]', ':cali-B - [0:0]', '-A cali-B -m comment --comment x -j ACCEPT'],
      ['-D OUTPUT -j cali-A', '-F cali-A', '-X cali-A'],
    ];
    const before = one.generation!();
    assert.ok(before !== undefined);
    for (const table of ['filter', 'nat', 'raw', 'mangle'] as const)
      for (const tables of [one, other])
        for (const lines of steps) {
          const under = tables.commit({ table, lines });
          assert.equal(one.generation!(), before, 'while it is under way');
          await under;
          await one.read(table);
          assert.equal(one.generation!(), before);
          assert.equal(other.generation!(), before);
        }
    const refused = one.commit({ table: 'nat', lines: ['-A nowhere -j DROP'] });
    await assert.rejects(refused);
    assert.equal(one.generation!(), before);
    const seen = new Set([before]);
    for (const [program, table] of [
      ['iptables-nft', 'filter'],
      ['ip6tables-nft', 'nat'],
      ['iptables-nft', 'mangle'],
    ] as const) {
      run(['ip', 'netns', 'exec', name!, program, '-t', table, '-F']);
      const after = one.generation!();
      assert.ok(after !== undefined && !seen.has(after));
      assert.equal(other.generation!(), after);
      seen.add(after);
    }
    await one.close();
    await other.close();
  }));

test('legacy: so do others’ changes of rules there, as far as the size of a table tells', () =>
  inFreshNetns(prefix(), 1, async ([name], [path]) => {
    const tables = await openTables({ netnsPath: path!, backend: 'legacy' });
    const twin = await openTables({ netnsPath: path!, backend: 'legacy' });
    const six = await openTables({ netnsPath: path!, backend: 'legacy', family: 6 });
    const before = tables.generation!();
    assert.ok(before !== undefined);
    for (const table of ['filter', 'nat', 'raw', 'mangle'] as const)
      for (const one of [tables, twin, six]) {
        const chain = one === twin ? 'cali-B' : 'cali-A';
        const lines = [`:${chain} - [0:0]`, `-A ${chain} -j ACCEPT`, `-I OUTPUT -j ${chain}`];
        const under = one.commit({ table, lines });
        assert.equal(one.generation!(), before, 'while it is under way');
        await under;
        await one.read(table);
        for (const each of [tables, twin, six]) assert.equal(each.generation!(), before);
      }
    const refused = tables.commit({ table: 'nat', lines: ['-A nowhere -j DROP'] });
    await assert.rejects(refused);
    assert.equal(tables.generation!(), before);
    const seen = new Set([before]);
    for (const [table, ...change] of [
      ['mangle', '-D', 'OUTPUT', '-j', 'cali-A'],
      ['filter', '-I', 'INPUT', '-j', 'ACCEPT'],
      ['raw', '-F'],
    ] as const) {
      run(['ip', 'netns', 'exec', name!, 'iptables-legacy', '-t', table, ...change]);
      const after = tables.generation!();
      assert.ok(after !== undefined && !seen.has(after), `${table} ${change.join(' ')}`);
      assert.equal(twin.generation!(), after);
      assert.equal(six.generation!(), before, 'the other family');
      seen.add(after);
    }
    for (const one of [tables, twin, six]) await one.close();
  }));
