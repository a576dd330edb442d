// How long a thread's turns of the processor are.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { release } from 'node:os';
import { test } from 'node:test';
import { libc, takeShortTurns } from './libc.io.ts';

const GETATTR = { x64: 315n, arm64: 275n }[process.arch as 'x64' | 'arm64'];
const RUNTIME = 24;
/** Linux tells and takes a fair thread's turn from 6.12 on. */
const [major = 0, minor = 0] = release().split('.').map(Number);
const grants = major > 6 || (major === 6 && minor >= 12);

/** Nanoseconds; `id` of a thread, 0: the calling one. */
function turnOf(id: number): bigint {
  const attributes = Buffer.alloc(48);
  assert.equal(Number(libc.syscall(GETATTR, id, attributes, attributes.length, 0)), 0);
  return attributes.readBigUInt64LE(RUNTIME);
}

test('short turns are those of the thread that asks, not of what it starts', async () => {
  const usual = turnOf(0);
  takeShortTurns();
  takeShortTurns();
  assert.equal(turnOf(0), grants ? 100_000n : usual);
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  try {
    assert.equal(turnOf(child.pid!), usual);
  } finally {
    child.kill();
  }
});
