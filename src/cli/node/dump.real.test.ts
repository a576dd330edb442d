// `bgp dump` as a process: octets come through unchanged, and nobody there is said so.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const MAIN = join(import.meta.dirname, '../main.ts');
const run = promisify(execFile);

test('bgp dump: to a file and to standard output', async () => {
  const octets = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256));
  const server = createServer((request, response) => {
    assert.equal(request.url, '/dump');
    response.end(octets);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = mkdtempSync(join(tmpdir(), 'ckt-dump-'));
  try {
    const file = join(folder, 'rib.mrt');
    const dump = ['bgp', 'dump', '--speaker', url];
    await run(process.execPath, [MAIN, ...dump, '--file', file]);
    assert.ok(readFileSync(file).equals(octets));
    const { stdout } = await run(process.execPath, [MAIN, ...dump], { encoding: 'buffer' });
    assert.ok(stdout.equals(octets));
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
  await assert.rejects(run(process.execPath, [MAIN, 'bgp', 'dump', '--speaker', url]), (cause) => {
    const { code, stdout } = cause as { code: number; stdout: string };
    assert.deepEqual([code, stdout], [1, 'Calico process is not running.\n']);
    return true;
  });
});
