// The shim's protocol, its answers without an agent, and its cost.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { shimPath } from '../shim.ts';

const CONFIG = '{"cniVersion":"0.3.0","name":"k8s-pod-network","type":"calico"}';
const BYTES_MAX = 2 << 20;
const RESIDENT_KIB_MAX = 4096;

interface Outcome {
  readonly exit: number | null;
  readonly stdout: string;
}

let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'calico-kit-shim-'));
  for (const type of ['calico', 'calico-ipam']) copyFileSync(await shimPath(), join(folder, type));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function run(
  type: string,
  { stdin = CONFIG, env = {}, args = [] as string[], socket = join(folder, 'nobody.sock') },
): Promise<Outcome> {
  const child = spawn(join(folder, type), args, {
    env: { ...env, CALICO_CNI_SOCKET: socket, HOME: '/root' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.on('data', (text) => {
    stdout += String(text);
  });
  child.stdin.on('error', () => {}); // it may end without having read everything
  child.stdin.end(stdin);
  return new Promise((resolve) => child.on('close', (exit) => resolve({ exit, stdout })));
}

/** Runs the shim against an agent that answers `reply`; tells what the agent was sent. */
async function withAgent(
  type: string,
  reply: string,
  env: Record<string, string>,
  args: string[] = [],
) {
  const socket = join(folder, `${type}-${Math.random().toString(36).slice(2)}.sock`);
  let request = '';
  const server = createServer((connection) => {
    connection.on('data', (text) => {
      request += String(text);
      if (/\0\0[\s\S]+\0$/.test(request)) connection.end(reply);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const outcome = await run(type, { socket, env, args });
  await new Promise((resolve) => server.close(resolve));
  return { outcome, request };
}

describe('with an agent', () => {
  test('hands over type, CNI variables and stdin, nothing else', async () => {
    const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_ARGS: 'A=1;B=2', SECRET: 'x' };
    const { request } = await withAgent('calico', '0{"a":1}', env);
    const [head, stdin] = request.split('\0\0');
    assert.equal(stdin, `${CONFIG}\0`);
    const [type, ...variables] = head!.split('\0');
    const wanted = ['CNI_ARGS=A=1;B=2', 'CNI_COMMAND=ADD', 'CNI_CONTAINERID=c1'];
    // The socket's variable is ours and begins with CALICO: it stays here.
    assert.deepEqual([type, variables.sort()], ['calico', wanted]);
  });

  test('takes its type from its name', async () => {
    const { request } = await withAgent('calico-ipam', '0', {});
    assert.equal(request, `calico-ipam\0\0${CONFIG}\0`);
  });

  test('-t asks the agent whether an ADD could work', async () => {
    const { outcome, request } = await withAgent('calico', '1{"code":50}\0', {}, ['-t']);
    assert.deepEqual(outcome, { exit: 1, stdout: '{"code":50}' });
    assert.match(request, /^calico\0CNI_COMMAND=STATUS\0\0\{"cniVersion":"1\.1\.0",.*\}\0$/);
    const works = await withAgent('calico', '0\0', {}, ['-t']);
    assert.deepEqual(works.outcome, { exit: 0, stdout: '' });
  });

  for (const [what, reply, wanted] of [
    ['a result', '0{"ips":[]}', { exit: 0, stdout: '{"ips":[]}' }],
    ['no output', '0', { exit: 0, stdout: '' }],
    ['an error', '1{"code":7}', { exit: 1, stdout: '{"code":7}' }],
    ['lines', '0{\n"a": 1\n}\n', { exit: 0, stdout: '{\n"a": 1\n}\n' }],
    ['up to a zero byte', '0{"a":1}\0', { exit: 0, stdout: '{"a":1}' }],
    ['a long one', `0${'long '.repeat(20_000)}`, { exit: 0, stdout: 'long '.repeat(20_000) }],
  ] as const) {
    test(`prints the agent's answer: ${what}`, async () => {
      const { outcome } = await withAgent('calico', reply, { CNI_COMMAND: 'ADD' });
      assert.deepEqual(outcome, wanted);
    });
  }

  test('does not wait for the connection to end once the answer is whole', async () => {
    const socket = join(folder, 'lasting.sock');
    const connections: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      connections.push(connection);
      connection.on('error', () => {});
      connection.on('data', () => connection.write('0{}\0'));
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const outcome = await run('calico', { socket, env: { CNI_COMMAND: 'ADD' } });
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(outcome, { exit: 0, stdout: '{}' });
  });

  test('an answer counts even when the agent did not read the whole call', async () => {
    const socket = join(folder, 'hasty.sock');
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      connection.on('error', () => {});
      connection.end('1{"code":6}', () => connection.destroy());
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const stdin = CONFIG.replace('}', `,"pad":"${'p'.repeat(900_000)}"}`);
    const outcome = await run('calico', { stdin, socket, env: { CNI_COMMAND: 'ADD' } });
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(outcome, { exit: 1, stdout: '{"code":6}' });
  });

  test('an agent that dies before answering is error 11', async () => {
    const { outcome } = await withAgent('calico', '', { CNI_COMMAND: 'ADD' });
    assert.equal(outcome.exit, 1);
    assert.equal((JSON.parse(outcome.stdout) as { code: number }).code, 11);
  });
});

describe('without an agent', () => {
  test('error 11 in the version of the configuration, exit 1', async () => {
    for (const CNI_COMMAND of ['ADD', 'DEL', 'CHECK']) {
      const { exit, stdout } = await run('calico', { env: { CNI_COMMAND } });
      const error = JSON.parse(stdout) as { cniVersion: string; code: number; msg: string };
      assert.deepEqual([exit, error.cniVersion, error.code], [1, '0.3.0', 11]);
      assert.match(error.msg, /check that its pod is running/);
    }
  });

  test('STATUS without an agent is error 50: the plugin is not available', async () => {
    const { exit, stdout } = await run('calico', { env: { CNI_COMMAND: 'STATUS' } });
    assert.deepEqual([exit, (JSON.parse(stdout) as { code: number }).code], [1, 50]);
  });

  test('bad configuration still gives an error that parses', async () => {
    const { exit, stdout } = await run('calico', { stdin: 'no json', env: { CNI_COMMAND: 'ADD' } });
    assert.equal(exit, 1);
    assert.equal((JSON.parse(stdout) as { cniVersion: string }).cniVersion, '0.2.0');
  });

  test('a configuration that is too large is error 7, and not to be tried again', async () => {
    const stdin = CONFIG.replace('}', `,"pad":"${'p'.repeat(3 << 20)}"}`);
    const { exit, stdout } = await run('calico', { stdin, env: { CNI_COMMAND: 'ADD' } });
    const error = JSON.parse(stdout) as { cniVersion: string; code: number; msg: string };
    assert.deepEqual([exit, error.cniVersion, error.code], [1, '0.3.0', 7]);
    assert.match(error.msg, /larger than 1 MiB/);
  });

  test('VERSION needs no agent', async () => {
    const { exit, stdout } = await run('calico', { env: { CNI_COMMAND: 'VERSION' } });
    const answer = JSON.parse(stdout) as { cniVersion: string; supportedVersions: string[] };
    assert.deepEqual([exit, answer.cniVersion], [0, '0.3.0']);
    assert.deepEqual(answer.supportedVersions.at(-1), '1.1.0');
  });

  test('-v prints the version', async () => {
    const { version } = (await import('../../package.json', { with: { type: 'json' } })).default;
    assert.deepEqual(await run('calico', { args: ['-v'] }), { exit: 0, stdout: `${version}\n` });
  });

  test('-t says that nothing can be made now', async () => {
    const { exit, stdout } = await run('calico', { args: ['-t'], stdin: '' });
    assert.deepEqual([exit, (JSON.parse(stdout) as { code: number }).code], [1, 50]);
  });
});

test('it keeps less than 4 MiB resident while the agent works', async () => {
  const socket = join(folder, 'waiting.sock');
  const connected = Promise.withResolvers<Socket>();
  const server = createServer((connection) => {
    connection.on('data', (bytes) => {
      if (bytes.at(-1) === 0) connected.resolve(connection);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const env = { CNI_COMMAND: 'ADD', CALICO_CNI_SOCKET: socket };
  const child = spawn(join(folder, 'calico'), { env, stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(CONFIG);
  const connection = await connected.promise;
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const ended = new Promise((resolve) => child.on('close', resolve));
  connection.end('0');
  await ended;
  await new Promise((resolve) => server.close(resolve));
  const kib = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]);
  assert.ok(kib > 0 && kib <= RESIDENT_KIB_MAX, `${kib} KiB`);
});

test('the binary is small', async () => {
  assert.ok(statSync(await shimPath()).size < BYTES_MAX);
});
