// The agent's end of the socket: calls of any shape get an answer.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openLog } from '../../base/log.io.ts';
import { ok } from '../../base/result.ts';
import type { CniRequest } from '../../cni/request.ts';
import { serveCni } from './server.io.ts';

const ENVIRONMENT = 'CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0CNI_NETNS=/x\0CNI_IFNAME=eth0\0';
const config = (pad = '') =>
  `{"cniVersion":"1.0.0","name":"n","type":"calico","ipam":{"type":"calico-ipam"},"pad":"${pad}"}`;

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
