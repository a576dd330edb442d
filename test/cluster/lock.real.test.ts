import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { locked } from './lock.ts';

test('one at a time, also after a failure', async () => {
  const folder = mkdtempSync(join(tmpdir(), `ckt-lock-${process.pid}-`));
  const file = join(folder, 'lock');
  let [inside, most] = [0, 0];
  const work = async (fails: boolean): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside -= 1;
    if (fails) throw new Error('as planned');
  };
  try {
    const results = await Promise.allSettled(
      [true, false, true, false].map((fails) => locked(file, () => work(fails))),
    );
    assert.equal(most, 1);
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
