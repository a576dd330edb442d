import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import { kubeProxyAnswers } from './live-proxy.io.ts';
import { ProxyHealth } from './proxy-health.io.ts';

const HOST = '127.0.0.1';

/** Holds a port that was free. */
const held = (): Promise<{ readonly port: number; release(): void }> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, HOST, () => {
      const { port } = server.address() as { port: number };
      resolve({ port, release: () => server.close() });
    });
  });

test('healthz asks for the node too, livez does not; neither is taken for a kube-proxy', async () => {
  const { port, release } = await held();
  const state = { healthy: true, eligible: true };
  const answered: string[] = [];
  const health = new ProxyHealth({
    host: HOST,
    port,
    healthy: () => state.healthy,
    eligible: () => state.eligible,
    lastUpdated: () => new Date(0),
    answered: (path, code) => answered.push(`${path} ${code}`),
    log: openLog('test', 'silent'),
  });
  // Somebody has the port, as a kube-proxy that is about to go: it is had once he goes.
  release();
  await health.opened();
  const ask = async (path: string) => {
    const response = await fetch(`http://${HOST}:${port}/${path}`);
    return [response.status, (await response.json()) as Record<string, unknown>] as const;
  };
  const [code, body] = await ask('healthz');
  assert.equal(code, 200);
  assert.deepEqual(
    { ...body, lastUpdated: 0, currentTime: 0 },
    {
      lastUpdated: 0,
      currentTime: 0,
      nodeEligible: true,
      healthy: true,
    },
  );
  state.eligible = false;
  assert.equal((await ask('healthz'))[0], 503);
  assert.equal((await ask('livez'))[0], 200);
  state.healthy = false;
  const [bad, why] = await ask('livez');
  assert.equal(bad, 503);
  assert.equal(why['lastUpdated'], new Date(0).toISOString());
  assert.deepEqual(answered, ['healthz 200', 'healthz 503', 'livez 200', 'livez 503']);
  assert.equal(await kubeProxyAnswers(`http://${HOST}:${port}/healthz`), false);
  health.close();
});
