// Kernel features that the machine's own kernel may lack, tested on a kernel that has them.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootGuest } from './boot.ts';
import { guestImage } from './image.ts';

const MINUTE_MS = 60_000;
const CONSOLE_LINES = 50;
/** What a failure says of itself. */
const FAILURE_LINES = 25;

/** The failures among what the tests inside said, with their reasons. */
function failuresOf(said: readonly string[]): string {
  const failed = said.flatMap((line, i) => (/^ +not ok/.test(line) ? [i] : []));
  return failed.map((i) => said.slice(i, i + FAILURE_LINES).join('\n')).join('\n');
}

test('the tests inside the guest pass', { timeout: 28 * MINUTE_MS }, async () => {
  const image = await guestImage();
  const folder = mkdtempSync(join(tmpdir(), 'ckt-guest-'));
  const consoleLog = join(folder, 'console.log');
  try {
    const said: string[] = [];
    const onLine = (line: string): void => {
      said.push(line);
      console.log(`guest: ${line}`);
    };
    const exit = await bootGuest({ image, milliseconds: 25 * MINUTE_MS, consoleLog, onLine });
    if (exit === undefined)
      console.log(readFileSync(consoleLog, 'utf8').split('\n').slice(-CONSOLE_LINES).join('\n'));
    const ended = exit === undefined ? 'did not come to an end' : `ended with ${exit}`;
    assert.ok(exit === 0, `the tests inside ${ended}:\n${failuresOf(said)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
