import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { soleAgent } from './sole-agent.io.ts';

const PROGRAM = `
  const { soleAgent } = await import(process.argv[1]);
  await soleAgent(process.argv[2], { warn() {}, info() {} }, new AbortController().signal);
  console.log('alone');
  setInterval(() => {}, 1000);
`;

test('a second agent waits until the first has ended, also by kill -9', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'calico-kit-lock-'));
  const socket = join(folder, 'run/cni.sock');
  const module = join(import.meta.dirname, 'sole-agent.io.ts');
  const argv = ['--input-type=module', '-e', PROGRAM, module, socket];
  const first = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(first.stdout, 'data');
    const said: string[] = [];
    const log = { warn: () => said.push('waits'), info: () => said.push('goes on') };
    const stop = new AbortController();
    const alone = soleAgent(socket, log as never, stop.signal);
    assert.deepEqual(said, ['waits']);
    first.kill('SIGKILL');
    await alone;
    assert.deepEqual(said, ['waits', 'goes on']);
  } finally {
    first.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
});
