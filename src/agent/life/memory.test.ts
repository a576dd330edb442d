import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { settleMemory } from './memory.io.ts';

/** A heap of which little lives, in every page; tells its size in MiB before and afterwards. */
const START = `
import { getHeapStatistics } from 'node:v8';
import { settleMemory } from ${JSON.stringify(join(import.meta.dirname, 'memory.io.ts'))};
const size = () => getHeapStatistics().total_physical_size / (1 << 20);
const read = Array.from({ length: 600_000 }, (_, i) => ({ text: 'endpoint ' + i }));
globalThis.kept = read.filter((_, i) => i % 20 === 0);
read.length = 0;
const before = size();
const small = setInterval(() => Array.from({ length: 1000 }, (_, i) => ({ i })), 1);
let calls = 0;
const busy = setInterval(() => calls++, 100);
setTimeout(() => clearInterval(busy), 1500);
const begin = performance.now();
await settleMemory(() => calls, new AbortController().signal, { quiet: 10, collection: 10_000 });
clearInterval(small);
console.log(JSON.stringify([before, size(), performance.now() - begin]));
`;

test('what the start leaves behind is given back, when no pod comes any more', () => {
  const child = ['--max-semi-space-size=2', '--input-type=module', '-e', START];
  const told = execFileSync(process.execPath, child, { encoding: 'utf8' });
  const [before, afterwards, took] = JSON.parse(told) as [number, number, number];
  assert.ok(afterwards < before / 2, told);
  assert.ok(took >= 11_500, told);
});

test('an agent that ends does not wait for it', async () => {
  const stop = new AbortController();
  const settled = settleMemory(() => 0, stop.signal);
  stop.abort();
  await settled;
});
