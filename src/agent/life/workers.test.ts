import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { keepWorkersBehind } from './workers.io.ts';

test('V8’s threads leave the processors to the main thread and to libuv’s', () => {
  const niceOf = (of: (name: string) => boolean) =>
    readdirSync('/proc/self/task')
      .filter((thread) => of(readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').trim()))
      .map((thread) => getPriority(Number(thread)));
  const isWorker = (name: string): boolean => name === 'V8Worker';
  const others = niceOf((name) => !isWorker(name));
  keepWorkersBehind();
  const workers = niceOf(isWorker);
  assert.ok(workers.length > 0);
  assert.deepEqual(new Set(workers), new Set([10]));
  assert.deepEqual(
    niceOf((name) => !isWorker(name)),
    others,
  );
});
