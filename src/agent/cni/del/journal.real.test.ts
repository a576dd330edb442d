import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ReleaseJournal } from './journal.io.ts';

const ENTRY = { handleId: 'n.c1', containerId: 'c1', endpointKey: '/calico/e1' };

test('what was recorded outlives the process; what was half-written was never promised and goes', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ckt-journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  new ReleaseJournal(folder).record(ENTRY);
  writeFileSync(join(folder, 'a.json.new'), '{"handleId":"n.c');
  const next = new ReleaseJournal(folder);
  assert.deepEqual(next.entries(), [ENTRY]);
  assert.equal(readdirSync(folder).length, 1);
  next.forget(ENTRY.handleId);
  assert.deepEqual(readdirSync(folder), []);
});

test('a folder that cannot be written: nothing is promised, nothing is left', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ckt-journal-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const journal = new ReleaseJournal(folder);
  rmSync(folder, { recursive: true });
  assert.throws(() => journal.record(ENTRY), /ENOENT/);
  assert.deepEqual(journal.entries(), []);
});
