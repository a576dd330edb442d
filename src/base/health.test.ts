import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type HealthState, serveHealth } from './health.io.ts';

test('the answers follow the state and name what is missing', async () => {
  let state: HealthState = { live: true, ready: false, problems: ['waiting for x', 'policy: y'] };
  const server = serveHealth({ host: '127.0.0.1', port: 0, state: () => state });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };
  try {
    assert.deepEqual(await get('/liveness'), [200, 'live\n']);
    assert.deepEqual(await get('/readiness'), [503, 'waiting for x\npolicy: y\n']);
    state = { live: true, ready: true, problems: [] };
    assert.deepEqual(await get('/readiness'), [200, 'ready\n']);
    state = { live: false, ready: false, problems: [] };
    assert.deepEqual(await get('/liveness'), [503, 'not live\n']);
    assert.equal((await get('/other'))[0], 404);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('further pages: an answer, none yet, a failure', async () => {
  let answer: () => Promise<string | undefined> = async () => '{}';
  const server = serveHealth({
    host: '127.0.0.1',
    port: 0,
    state: () => ({ live: true, ready: true, problems: [] }),
    pages: { '/policy/counters': () => answer() },
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const get = async (): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}/policy/counters`);
    return [response.status, await response.text()];
  };
  try {
    assert.deepEqual(await get(), [200, '{}']);
    answer = async () => undefined;
    assert.deepEqual(await get(), [503, 'not ready']);
    answer = () => Promise.reject(new Error('no table'));
    assert.deepEqual(await get(), [500, 'no table\n']);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
