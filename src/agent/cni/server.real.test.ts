// The agent's end of the socket: calls of any shape get an answer.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { openLog } from '../../base/log.io.ts';
import { ok } from '../../base/result.ts';
import type { CniRequest } from '../../cni/request.ts';
import { serveCni } from './server.io.ts';

const ENVIRONMENT = 'CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0CNI_NETNS=/x\0CNI_IFNAME=eth0\0';
const config = (pad = '') =>
  `{"cniVersion":"1.0.0","name":"n","type":"calico","ipam":{"type":"calico-ipam"},"pad":"${pad}"}`;

const MANY = 24;
/** Some say only half before the other end looks, some leave without an answer. */
const CALLERS = `
  const { connect } = require('node:net');
  const { parentPort, workerData: { path, whole, many } } = require('node:worker_threads');
  const callOf = (i, said) => new Promise((resolve) => {
    const socket = connect(path);
    let text = '';
    const call = whole.replace('ID=c1', 'ID=c' + i);
    const half = i % 4 === 2 ? call.length / 2 | 0 : call.length;
    const isSaid = () => {
      if (half < call.length) socket.write(call.slice(half));
      if (i % 4 === 3) socket.destroy();
      Atomics.add(said, 0, 1);
      Atomics.notify(said, 0);
    };
    socket.on('connect', () => socket.write(call.slice(0, half), isSaid));
    socket.on('data', (chunk) => { text += chunk; if (text.endsWith('\\0')) socket.destroy(); });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
  parentPort.once('message', async (said) => {
    const calls = Array.from({ length: many }, (_, i) => callOf(i, said));
    parentPort.postMessage(await Promise.all(calls));
  });
`;

describe('the CNI socket', { timeout: 30_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'calico-kit-socket-'));
  const path = join(folder, 'cni.sock');
  const seen: CniRequest[] = [];
  const log = openLog('test', 'fatal');
  let server: ReturnType<typeof serveCni>;
  before(() => {
    const handle = async (request: CniRequest) => {
      seen.push(request);
      return ok('answer');
    };
    server = serveCni(path, handle, log);
    return new Promise<void>((resolve) => server.once('listening', () => resolve()));
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  const call = (bytes: string | Buffer): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(path);
      let text = '';
      socket.on('data', (chunk) => {
        text += String(chunk);
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text));
      socket.end(bytes);
    });
  const codeOf = (text: string): unknown => (JSON.parse(text.slice(1)) as { code: number }).code;

  test('a call of almost 1 MiB goes through', async () => {
    assert.equal(await call(`calico\0${ENVIRONMENT}\0${config('p'.repeat(900_000))}`), '0answer');
    assert.deepEqual([seen.at(-1)?.netns, seen.at(-1)?.config.unknownKeys], ['/x', ['pad']]);
  });

  test('a call that a zero byte ends is answered alike, before the caller closes', async () => {
    for (const cut of [10, 60, Number.POSITIVE_INFINITY]) {
      const bytes = `calico\0${ENVIRONMENT}\0${config()}\0`;
      const socket = connect(path);
      socket.write(bytes.slice(0, cut));
      if (cut < bytes.length) void setImmediate().then(() => socket.write(bytes.slice(cut)));
      const text = await new Promise((resolve) => socket.once('data', resolve));
      socket.destroy();
      assert.equal(String(text), '0answer\0');
    }
  });

  test('the connection ends when its caller closes it, before the answer or after it', async () => {
    const connections = () =>
      new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
    for (const closes of ['before', 'after']) {
      const socket = connect(path);
      // What comes whole is answered without a stream, and ends with its answer.
      while ((await connections()) !== 1) await setImmediate();
      socket.write(`calico\0${ENVIRONMENT}\0${config()}\0`);
      if (closes === 'before') socket.end();
      const text = await new Promise((resolve) => socket.once('data', resolve));
      assert.equal(String(text), '0answer\0', closes);
      if (closes === 'after') assert.equal(await connections(), 1);
      socket.end();
      await new Promise((resolve) => socket.once('close', resolve));
      while ((await connections()) !== 0) await setImmediate();
    }
  });

  test('many that wait are all answered: whole ones at once, others when the rest has come', async () => {
    const calls = seen.length;
    const whole = `calico\0${ENVIRONMENT}\0${config()}\0`;
    const worker = new Worker(CALLERS, { eval: true, workerData: { path, whole, many: MANY } });
    await once(worker, 'online');
    const answers = once(worker, 'message');
    // Until all have said what they say at first, nobody is accepted here.
    const said = new Int32Array(new SharedArrayBuffer(4));
    worker.postMessage(said);
    for (let count = 0; count < MANY; count = Atomics.load(said, 0))
      assert.notEqual(Atomics.wait(said, 0, count, 5_000), 'timed-out', `${count} have`);
    const [texts] = (await answers) as [string[]];
    assert.deepEqual(
      texts,
      Array.from({ length: MANY }, (_, i) => (i % 4 === 3 ? '' : '0answer\0')),
    );
    assert.equal(seen.length, calls + MANY, 'those who left are served too');
    const order = seen.slice(calls).map(({ containerId }) => Number(containerId.slice(1)));
    const inTurn = order.filter((i) => i % 4 !== 2);
    assert.deepEqual(
      inTurn,
      inTurn.toSorted((a, b) => a - b),
      'first come, first served',
    );
    await worker.terminate();
  });

  test('a larger one is refused for good, in its own version', async () => {
    const calls = seen.length;
    const text = await call(`calico\0${ENVIRONMENT}\0${config('p'.repeat(5_000_000))}`);
    assert.match(text, /^1\{"cniVersion":"1\.0\.0","code":7,"msg":".*larger than 1 MiB"\}/);
    assert.equal(seen.length, calls);
  });

  test('what is no call, or has no configuration, is an error of its own', async () => {
    assert.equal(codeOf(await call('')), 6);
    assert.equal(codeOf(await call('calico')), 6);
    assert.equal(codeOf(await call(`calico\0${ENVIRONMENT}\0`)), 6);
    assert.equal(codeOf(await call(`calico\0\0${config()}`)), 4);
  });
});
