import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import { HealthChecks } from './health-checks.io.ts';

/** A port that is free now. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

test('200 with local endpoints, 503 without, nobody there when the service is gone', async () => {
  let healthy = true;
  const host = '127.0.0.1';
  const checks = new HealthChecks({
    healthy: () => healthy,
    hosts: () => [host],
    log: openLog('test', 'silent'),
  });
  const port = await freePort();
  const ask = async () => {
    const response = await fetch(`http://${host}:${port}/any`);
    const weight = response.headers.get('x-load-balancing-endpoint-weight');
    return [response.status, weight, await response.text()];
  };
  const text = (localEndpoints: number, serviceProxyHealthy = true): string =>
    JSON.stringify({ service: { namespace: 'a', name: 'b' }, localEndpoints, serviceProxyHealthy });
  const wanted = (localEndpoints: number) =>
    new Map([[port, { namespace: 'a', name: 'b', localEndpoints }]]);
  checks.update(wanted(2));
  await checks.opened();
  assert.deepEqual(await ask(), [200, '2', text(2)]);
  healthy = false;
  assert.deepEqual(await ask(), [503, '2', text(2, false)]);
  healthy = true;
  checks.update(wanted(0));
  assert.deepEqual(await ask(), [503, '0', text(0)]);
  checks.update(new Map());
  await assert.rejects(ask());
  checks.close();
});
