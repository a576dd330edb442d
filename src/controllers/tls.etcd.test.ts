// The program and an etcd that only speaks TLS: with a certificate it becomes ready.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { etcdFiles, makeCertificate } from '../../test/lab/certificate.ts';
import { eventually } from '../../test/lab/command.ts';
import { startEtcd } from '../../test/lab/etcd-server.ts';
import { startFakeApiServer } from '../../test/lab/fake-api-server.ts';

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

test('kube-controllers shows its certificate', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'calico-kit-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const pair = makeCertificate(folder, '127.0.0.1');
  const [etcd, api] = await Promise.all([startEtcd({ tls: pair }), startFakeApiServer()]);
  t.after(async () => {
    api.close();
    await etcd.stop();
  });
  const port = await freePort();
  const program = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env: {
      ETCD_ENDPOINTS: etcd.endpoints.join(','),
      ...etcdFiles(pair),
      KUBECONFIG: api.kubeconfig,
      HEALTH_PORT: String(port),
      CALICO_IPV4POOL_CIDR: '10.1.0.0/16',
      LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  t.after(() => program.kill('SIGKILL'));
  const ready = async (): Promise<boolean> =>
    (await fetch(`http://127.0.0.1:${port}/readiness`)).ok;
  await eventually('it is ready', ready, 45_000);
  assert.equal(program.exitCode, null);
});
