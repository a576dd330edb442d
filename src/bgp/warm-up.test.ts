import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Table } from './table/table.ts';
import { warmUp } from './warm-up.ts';

test('warm-up: all that is said is believed and told on, and in small portions', (t) => {
  const tables = new Set<Table>();
  const told = { most: 0, now: 0 };
  const { receive, work } = Table.prototype;
  let calls = 0;
  t.mock.method(Table.prototype, 'receive', function (this: Table, key: string, body: Uint8Array) {
    tables.add(this);
    calls += 1;
    const received = receive.call(this, key, body);
    assert.deepEqual(received, {}, 'no fault, no reset');
    return received;
  });
  t.mock.method(
    Table.prototype,
    'work',
    function (this: Table, ...args: Parameters<Table['work']>) {
      calls += 1;
      const progress = work.call(this, ...args);
      told.now = this.toldTo('192.0.2.3') + this.toldTo('2001:db8::3');
      told.most = Math.max(told.most, told.now);
      return progress;
    },
  );
  for (const _ of warmUp()) {
    assert.ok(calls <= 1, 'one message or one slice of work in a portion');
    calls = 0;
  }
  assert.equal(tables.size, 2);
  assert.deepEqual(told, { most: 1250, now: 0 });
  assert.equal(
    [...tables].some((table) => [...table.prefixes()].length > 0),
    false,
  );
});
