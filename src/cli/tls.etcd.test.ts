// The program and an etcd that only speaks TLS and asks for a certificate.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toolPath } from '../../test/cluster/tools.ts';
import { eventually, run } from '../../test/lab/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'calico-kit-tls-'));
const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
let etcd: ChildProcess | undefined;
let endpoint = '';

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

const kit = (env: Readonly<Record<string, string>>, ...args: readonly string[]) => {
  const command = [join(import.meta.dirname, 'main.ts'), ...args];
  const options = { env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, command, options);
  return { status, stdout, stderr };
};

const files = (): Readonly<Record<string, string>> => ({
  ETCD_ENDPOINTS: endpoint,
  ETCD_CA_CERT_FILE: certificate,
  ETCD_CERT_FILE: certificate,
  ETCD_KEY_FILE: key,
});

before(async () => {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=etcd', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const out = ['-keyout', key, '-out', certificate];
  run(['openssl', 'req', '-x509', ...curve, '-days', '2', ...names, ...out]);
  endpoint = `https://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const args = [
    ...['--name', 'tls', '--data-dir', join(folder, 'data'), '--log-level', 'error'],
    ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ...['--initial-cluster', `tls=${peer}`, '--unsafe-no-fsync', '--client-cert-auth'],
    ...['--cert-file', certificate, '--key-file', key, '--trusted-ca-file', certificate],
  ];
  etcd = spawn(await toolPath('etcd'), args, { stdio: 'ignore' });
  await eventually('etcd answers', () => kit(files(), 'ipam', 'show').status === 0, 30_000);
});

after(() => {
  etcd?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

test('with certificates by environment: what is set is read', () => {
  assert.equal(kit(files(), 'ipam', 'configure', '--ip-cooldown-seconds=7').status, 0);
  const shown = kit(files(), 'ipam', 'show', '--show-configuration');
  assert.match(shown.stdout, /Cooldown\w+ +\| 7 /);
  assert.equal(shown.stderr, '');
});

test('with calicoctl’s configuration file, certificates as files and as text', () => {
  const indented = (path: string): string =>
    readFileSync(path, 'utf8').replaceAll(/^/gm, '      ').trimEnd();
  const spec = {
    files: `
  etcdCACertFile: ${certificate}
  etcdCertFile: ${certificate}
  etcdKeyFile: ${key}`,
    text: ['etcdCACert', 'etcdCert', 'etcdKey']
      .map((name) => `\n  ${name}: |\n${indented(name === 'etcdKey' ? key : certificate)}`)
      .join(''),
  };
  for (const [name, certificates] of Object.entries(spec)) {
    const path = join(folder, `${name}.cfg`);
    const text = `kind: CalicoAPIConfig\nspec:\n  etcdEndpoints: ${endpoint}${certificates}\n`;
    writeFileSync(path, text);
    const shown = kit({}, '--config', path, 'ipam', 'show', '--show-configuration');
    assert.match(shown.stdout, /Cooldown\w+ +\| 7 /, shown.stderr);
  }
});

test('without a certificate, or with an unknown authority, the datastore refuses or is refused', () => {
  const { ETCD_CERT_FILE: _cert, ETCD_KEY_FILE: _key, ...nobody } = files();
  assert.equal(kit(nobody, 'ipam', 'show').status, 1);
  const byName = { ...files(), ETCD_ENDPOINTS: endpoint.replace('127.0.0.1', 'localhost') };
  assert.match(kit(byName, 'ipam', 'show').stderr, /localhost/, 'the certificate names 127.0.0.1');
  const { ETCD_CA_CERT_FILE: _authorities, ...unsure } = files();
  const refused = kit(unsure, 'ipam', 'show');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^Error: etcd Range: .*self-signed/);
});
