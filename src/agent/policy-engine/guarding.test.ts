import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { OpError } from '../../base/op-error.ts';
import type { Guard } from '../../kernel/nftables/guard.io.ts';
import { RULE_DEFAULTS } from '../../policy/read/rule-settings.ts';
import { Guarding } from './guarding.io.ts';

/** A guard that writes down what happens to it, and lines of a log. */
function fake() {
  const done: string[] = [];
  const lines: string[] = [];
  let stands = false;
  const state = { refusal: undefined as string | undefined };
  const change = (what: string, isThere: boolean): void => {
    done.push(what);
    if (state.refusal !== undefined) throw new OpError('guard', state.refusal, 95);
    stands = isThere;
  };
  const guard: Guard = {
    set: async ({ acceptMark }) => change(`set ${acceptMark.toString(16)}`, true),
    remove: async () => change('remove', false),
    look: () => (stands ? { isWhole: true, isKept: true, dropped: 7 } : undefined),
    close: () => {},
  };
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const write = async () => void done.push('rules');
  return { done, lines, state, guard, log, write, others: { remove: () => (stands = false) } };
}

const OTHER_MARK = { ...RULE_DEFAULTS, markMask: 0xff00 };

test('it is written after the rules, once, and again when others removed it', async () => {
  const { done, guard, log, write, others } = fake();
  const guarding = new Guarding(4, guard, true, log);
  assert.match(guarding.report().why!, /not written yet/);
  await guarding.around(RULE_DEFAULTS, false, write);
  await guarding.around(RULE_DEFAULTS, false, write);
  await guarding.around(RULE_DEFAULTS, true, write);
  assert.deepEqual(done.splice(0), ['rules', 'set 10000', 'rules', 'rules']);
  others.remove();
  assert.match(guarding.report().why!, /somebody else/);
  await guarding.around(RULE_DEFAULTS, true, write);
  assert.deepEqual(done.splice(0), ['rules', 'set 10000']);
  const report = { family: 4, enabled: true, stands: true, isKept: true, dropped: 7 };
  assert.deepEqual(guarding.report(), report);
});

test('never beside rules that accept by another mark, and not where others may accept before us', async () => {
  const { done, guard, log, write } = fake();
  const guarding = new Guarding(4, guard, true, log);
  await guarding.around(RULE_DEFAULTS, false, write);
  await guarding.around(OTHER_MARK, false, write);
  assert.deepEqual(done.splice(0), ['rules', 'set 10000', 'remove', 'rules', 'set 100']);
  await guarding.around({ ...OTHER_MARK, insertMode: 'append' }, false, write);
  assert.deepEqual(done.splice(0), ['remove', 'rules']);
  assert.match(guarding.report().why!, /Append/);
});

test('a kernel without nf_tables: one line, a warning, and the rules are written all the same', async () => {
  const { done, lines, state, guard, log, write } = fake();
  state.refusal = 'not supported (errno 95)';
  const guarding = new Guarding(6, guard, true, log);
  for (const doubted of [false, false, true, false])
    await guarding.around(RULE_DEFAULTS, doubted, write);
  assert.deepEqual(done, ['rules', 'set 10000', 'rules', 'rules', 'set 10000', 'rules']);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /no guard behind the rules/);
  assert.match(guarding.warning!, /IPv6 rules: guard: not supported/);
  assert.match(guarding.report().why!, /not supported/);
  state.refusal = undefined;
  await guarding.around(RULE_DEFAULTS, true, write);
  assert.equal(guarding.warning, undefined);
});

test('switched off, what an earlier run left goes before the rules are written', async () => {
  const { done, guard, log, write } = fake();
  const guarding = new Guarding(4, guard, false, log);
  await guarding.around(RULE_DEFAULTS, false, write);
  await guarding.around(RULE_DEFAULTS, true, write);
  assert.deepEqual(done, ['remove', 'rules', 'rules']);
  assert.match(guarding.report().why!, /switched off/);
});
