// Recorded processes: known by pid and start time, ended for sure, strangers left alone.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { until } from '../command.ts';
import { Processes } from './processes.ts';

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), `ckt-processes-${process.pid}-`));
});
afterEach(() => rmSync(run, { recursive: true }));

test('a started process is known to another reader of its record, which ends it', async () => {
  new Processes(run).start('sleeper', ['sh', '-c', 'echo "$0 runs"; exec sleep 600', 'sleeper']);
  const log = join(run, 'log/sleeper.log');
  await until('the log', 5, async () => readFileSync(log, 'utf8') === 'sleeper runs\n');
  const later = new Processes(run);
  const pid = later.pidOf('sleeper');
  assert.ok(pid !== undefined);
  await later.endAll();
  assert.equal(later.pidOf('sleeper'), undefined);
  assert.ok(!existsSync(`/proc/${pid}/exe`));
});

test('a record whose pid belongs to somebody else now is no record', async () => {
  mkdirSync(join(run, 'pid'));
  writeFileSync(join(run, 'pid/stranger'), `${process.pid} 1\n`);
  const processes = new Processes(run);
  assert.equal(processes.pidOf('stranger'), undefined);
  await processes.endAll(); // would end this test
});

test('nothing recorded: nothing to end', async () => {
  const processes = new Processes(run);
  assert.deepEqual(processes.names(), []);
  await processes.endAll();
});
