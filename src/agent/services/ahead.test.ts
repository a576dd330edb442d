import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import { memoryTables } from '../../kernel/memory-tables.ts';
import type { Forward } from '../../kernel/tables.ts';
import { ip } from '../../net/ip.ts';
import { Ahead, type ServedAhead } from './ahead.io.ts';

const forward = (port: number): Forward => ({
  protocol: 'tcp',
  ip: ip('10.96.0.1'),
  port,
  endpoints: [{ ip: ip('10.65.0.2'), port: 8080 }],
  mark: 0x4000,
  masqueraded: undefined,
});

function fixture(rules = 5000) {
  const told: (readonly number[])[] = [];
  const state = { refuses: false, closed: false, changed: new Map() as ServedAhead };
  const forwards = {
    set: (all: readonly Forward[]) => {
      if (state.refuses) throw new Error('refused');
      told.push(all.map(({ port }) => port));
    },
    close: () => {
      state.closed = true;
    },
  };
  const options = {
    model: { ahead: () => state.changed },
    tables: { ...memoryTables(), forwards: () => forwards },
    ipv6Tables: undefined,
    log: openLog('test', 'silent'),
  };
  const ahead = new Ahead(options, () => rules);
  const serve = (...services: readonly (readonly [string, ...number[]])[]): void => {
    state.changed = new Map(services.map(([name, ...ports]) => [name, ports.map(forward)]));
    ahead.serve();
  };
  return { ahead, serve, told, state };
}

test('what a round has written is served by its rules; what changed meanwhile is not', () => {
  const { ahead, serve, told } = fixture();
  serve(['a', 1], ['b', 2], ['late']);
  const then = ahead.now(4);
  serve(['b', 3]);
  ahead.written(4, then);
  ahead.written(4, ahead.now(4));
  ahead.written(4, ahead.now(4));
  assert.deepEqual(told, [[1, 2], [1, 3], [3], []]);
});

test('a service that cannot be served ahead any more waits for its rules', () => {
  const { serve, told } = fixture();
  serve(['a', 1]);
  serve(['a']);
  serve(['a']);
  assert.deepEqual(told, [[1], []]);
});

test('where rules are cheap, or the kernel refuses, nothing is served ahead', () => {
  const cheap = fixture(4999);
  cheap.serve(['a', 1]);
  assert.deepEqual(cheap.told, []);
  const { serve, told, state } = fixture();
  state.refuses = true;
  serve(['a', 1]);
  assert.equal(state.closed, true);
  state.refuses = false;
  serve(['a', 1]);
  assert.deepEqual(told, []);
});
