// A real etcd on free loopback ports, with data of its own, for one test file.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../cluster/tools.ts';
import { type Certificate, etcdFlags } from './certificate.ts';
import { eventually } from './command.ts';

export interface EtcdServer {
  readonly endpoints: readonly string[];
  /** kill -9; the data stays. */
  kill(): Promise<void>;
  /** Starts again on the same data and ports. */
  restart(): Promise<void>;
  /** kill -9, forgets all data, starts again on the same ports: revisions begin anew. */
  wipe(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** With `tls` it speaks TLS only, and asks for the certificate. */
export async function startEtcd(
  options: { readonly fsync?: boolean; readonly tls?: Certificate } = {},
): Promise<EtcdServer> {
  const binary = await toolPath('etcd');
  const data = mkdtempSync(join(tmpdir(), 'calico-kit-etcd-'));
  const [client, peer] = [
    `${options.tls ? 'https' : 'http'}://127.0.0.1:${await freePort()}`,
    `http://127.0.0.1:${await freePort()}`,
  ];
  // Its health without a certificate.
  const metrics = `http://127.0.0.1:${await freePort()}`;
  const args = [
    ...['--name', 'test', '--data-dir', data, '--log-level', 'error'],
    ...(options.fsync ? [] : ['--unsafe-no-fsync']),
    ...(options.tls ? etcdFlags(options.tls) : []),
    ...['--listen-metrics-urls', metrics],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ...['--initial-cluster', `test=${peer}`],
  ];
  let child: ChildProcess;
  const start = async (): Promise<void> => {
    child = spawn(binary, args, { stdio: 'ignore' });
    await eventually('etcd answers', async () => (await fetch(`${metrics}/health`)).ok, 20_000);
  };
  const kill = (): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
  await start();
  return {
    endpoints: [client],
    kill,
    restart: start,
    wipe: async () => {
      await kill();
      rmSync(data, { recursive: true, force: true });
      await start();
    },
    stop: async () => {
      await kill();
      rmSync(data, { recursive: true, force: true });
    },
  };
}
