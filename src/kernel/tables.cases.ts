// One suite for every packet filter: the memory twins and the real commands must agree.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IpSetMeta, IpSets, Tables } from './tables.ts';

export interface TablesFixture {
  readonly tables: Tables;
  readonly ipSets: IpSets;
  done(): void;
}

const SET: IpSetMeta = {
  name: 'cali40s:test',
  type: 'hash:net',
  family: 'inet',
  maxElements: 1048576,
};

export function tablesCases(name: string, open: () => Promise<TablesFixture>): void {
  const scenario = (what: string, work: (fixture: TablesFixture) => Promise<void>): void => {
    test(`${name}: ${what}`, { timeout: 30_000 }, async () => {
      const fixture = await open();
      try {
        await work(fixture);
      } finally {
        await fixture.tables.close();
        await fixture.ipSets.close();
        fixture.done();
      }
    });
  };

  scenario('chains and rules are what was committed', async ({ tables }) => {
    await tables.commit({
      table: 'filter',
      lines: [
        ':cali-A - [0:0]',
        ':cali-B - [0:0]',
        '-A cali-A -j cali-B',
        '-A cali-B -p tcp -j DROP',
        '-I FORWARD 1 -j cali-A',
      ],
    });
    const content = await tables.read('filter');
    assert.deepEqual(content.get('cali-A'), ['-j cali-B']);
    assert.deepEqual(content.get('cali-B'), ['-p tcp -j DROP']);
    assert.deepEqual(content.get('FORWARD'), ['-j cali-A']);
  });

  scenario('a chain line empties the chain; delete and insert by position', async ({ tables }) => {
    const commit = (...lines: string[]) => tables.commit({ table: 'nat', lines });
    await commit(':cali-A - [0:0]', '-A cali-A -j RETURN', '-A cali-A -p udp -j RETURN');
    await commit('-I cali-A 2 -p tcp -j RETURN', '-D cali-A 1');
    assert.deepEqual((await tables.read('nat')).get('cali-A'), [
      '-p tcp -j RETURN',
      '-p udp -j RETURN',
    ]);
    await commit(':cali-A - [0:0]', '-A cali-A -p icmp -j RETURN');
    assert.deepEqual((await tables.read('nat')).get('cali-A'), ['-p icmp -j RETURN']);
    await commit(':cali-A - [0:0]', '-X cali-A');
    assert.equal((await tables.read('nat')).has('cali-A'), false);
  });

  scenario('a kernel chain keeps its rules when it is named', async ({ tables }) => {
    const lines = [':cali-A - [0:0]', '-A FORWARD -j cali-A'];
    await tables.commit({ table: 'filter', lines });
    await tables.commit({ table: 'filter', lines: [':FORWARD ACCEPT [0:0]'] });
    assert.deepEqual((await tables.read('filter')).get('FORWARD'), ['-j cali-A']);
  });

  scenario('comments and quotes read back as written', async ({ tables }) => {
    const rules = [
      '-m comment --comment "cali:abc-_1" -j RETURN',
      '-m comment --comment "two words, \\"quoted\\"" -j RETURN',
      '-s 10.0.0.0/8 -m comment --comment plain -j RETURN',
    ];
    const lines = [':cali-A - [0:0]', ...rules.map((rule) => `-A cali-A ${rule}`)];
    await tables.commit({ table: 'filter', lines });
    assert.deepEqual((await tables.read('filter')).get('cali-A'), rules);
  });

  scenario('a refusal names its line, also late in the life of the child', async ({ tables }) => {
    const commit = (...lines: string[]) => tables.commit({ table: 'filter', lines });
    await commit(':cali-A - [0:0]');
    await commit('-A cali-A -j RETURN', '-A cali-A -p tcp -j DROP');
    await assert.rejects(commit('-A cali-A -p udp -j DROP', '-D cali-A -p icmp -j DROP'), {
      name: 'OpError',
      op: 'iptables filter',
      message: /-D cali-A -p icmp -j DROP/,
    });
    const rules = ['-j RETURN', '-p tcp -j DROP'];
    assert.deepEqual((await tables.read('filter')).get('cali-A'), rules);
  });

  scenario(
    'commits at once go one after the other; each has its own outcome',
    async ({ tables }) => {
      const commit = (line: string) => tables.commit({ table: 'filter', lines: [line] });
      await commit(':cali-A - [0:0]');
      const outcomes = await Promise.allSettled([
        commit('-A cali-A -p tcp -j DROP'),
        commit('-A cali-none -p tcp -j DROP'),
        commit('-A cali-A -p udp -j DROP'),
      ]);
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      const rules = ['-p tcp -j DROP', '-p udp -j DROP'];
      assert.deepEqual((await tables.read('filter')).get('cali-A'), rules);
    },
  );

  scenario('a refused transaction changes nothing, the next one works', async ({ tables }) => {
    const bad = {
      table: 'filter',
      lines: [':cali-A - [0:0]', '-A cali-A -j cali-nowhere'],
    } as const;
    await assert.rejects(tables.commit(bad), { name: 'OpError' });
    assert.equal((await tables.read('filter')).has('cali-A'), false);
    await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]'] });
    assert.deepEqual((await tables.read('filter')).get('cali-A'), []);
  });

  scenario('sets: create, add, delete, destroy', async ({ ipSets }) => {
    await ipSets.commit([
      { kind: 'create', set: SET },
      { kind: 'add', name: SET.name, member: '10.0.0.1' },
      { kind: 'add', name: SET.name, member: '10.1.0.0/16' },
    ]);
    const [set] = await ipSets.read('cali40');
    assert.deepEqual(
      { ...set, members: [...set!.members].sort() },
      { ...SET, members: ['10.0.0.1', '10.1.0.0/16'] },
    );
    await ipSets.commit([{ kind: 'delete', name: SET.name, member: '10.0.0.1' }]);
    assert.deepEqual([...(await ipSets.read('cali40'))[0]!.members], ['10.1.0.0/16']);
    const sizes = ['cali40', 'cali6'].map((prefix) => ipSets.sizes!(prefix));
    assert.deepEqual(await Promise.all(sizes), [new Map([[SET.name, 1]]), new Map()]);
    await ipSets.commit([{ kind: 'destroy', name: SET.name }]);
    assert.deepEqual(await ipSets.read('cali40'), []);
    assert.deepEqual(await ipSets.sizes!('cali40'), new Map());
  });

  scenario(
    'sets: two change places, with their limits, under a rule',
    async ({ ipSets, tables }) => {
      const other = { ...SET, name: 'cali4t0', maxElements: 2048 };
      await ipSets.commit([
        { kind: 'create', set: SET },
        { kind: 'add', name: SET.name, member: '10.0.0.1' },
        { kind: 'create', set: other },
      ]);
      const rule = `-A cali-A -m set --match-set ${SET.name} src -j DROP`;
      await tables.commit({ table: 'filter', lines: [':cali-A - [0:0]', rule] });
      await ipSets.commit([
        { kind: 'add', name: other.name, member: '10.0.0.2' },
        { kind: 'swap', name: SET.name, other: other.name },
        { kind: 'destroy', name: other.name },
      ]);
      assert.deepEqual(await ipSets.read('cali4'), [
        { ...SET, maxElements: 2048, members: new Set(['10.0.0.2']) },
      ]);
    },
  );

  scenario('sets: IPv6, ports; only those of the prefix', async ({ ipSets }) => {
    const six: IpSetMeta = { ...SET, name: 'cali60s:six', family: 'inet6' };
    const ports: IpSetMeta = { ...SET, name: 'cali40n:ports', type: 'hash:ip,port' };
    await ipSets.commit([
      { kind: 'create', set: six },
      { kind: 'create', set: ports },
      { kind: 'add', name: six.name, member: 'fd00:7::/64' },
      { kind: 'add', name: ports.name, member: '10.0.0.1,tcp:80' },
    ]);
    const read = async (prefix: string) => (await ipSets.read(prefix))[0];
    assert.deepEqual(await read('cali60'), { ...six, members: new Set(['fd00:7::/64']) });
    assert.deepEqual(await read('cali40'), { ...ports, members: new Set(['10.0.0.1,tcp:80']) });
  });

  scenario('sets: a refusal names its line, the next commit works', async ({ ipSets }) => {
    await ipSets.commit([{ kind: 'create', set: { ...SET, name: 'cali40s:other' } }]);
    await ipSets.commit([{ kind: 'destroy', name: 'cali40s:other' }]);
    await assert.rejects(
      ipSets.commit([{ kind: 'add', name: 'cali40s:none', member: '10.0.0.1' }]),
      { name: 'OpError', op: 'ipset', message: /add cali40s:none/ },
    );
    await ipSets.commit([{ kind: 'create', set: SET }]);
    await assert.rejects(ipSets.commit([{ kind: 'create', set: SET }]), { name: 'OpError' });
    assert.equal((await ipSets.read('cali40')).length, 1);
  });
}
