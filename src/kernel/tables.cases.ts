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
    test(`${name}: ${what}`, async () => {
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
    await ipSets.commit([{ kind: 'destroy', name: SET.name }]);
    assert.deepEqual(await ipSets.read('cali40'), []);
  });

  scenario('sets: a refusal is an OpError, the next commit works', async ({ ipSets }) => {
    await assert.rejects(
      ipSets.commit([{ kind: 'add', name: 'cali40s:none', member: '10.0.0.1' }]),
      { name: 'OpError' },
    );
    await ipSets.commit([{ kind: 'create', set: SET }]);
    assert.equal((await ipSets.read('cali40')).length, 1);
  });
}
