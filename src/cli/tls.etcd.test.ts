// The program and an etcd that only speaks TLS and asks for a certificate.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Certificate, etcdFiles, makeCertificate } from '../../test/lab/certificate.ts';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'calico-kit-tls-'));
let pair: Certificate;
let etcd: EtcdServer | undefined;
let endpoint = '';

const kit = (env: Readonly<Record<string, string>>, ...args: readonly string[]) => {
  const command = [join(import.meta.dirname, 'main.ts'), ...args];
  const options = { env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, command, options);
  return { status, stdout, stderr };
};

const files = (): Readonly<Record<string, string>> => ({
  ETCD_ENDPOINTS: endpoint,
  ...etcdFiles(pair),
});

before(async () => {
  pair = makeCertificate(folder, '127.0.0.1');
  etcd = await startEtcd({ tls: pair });
  endpoint = etcd.endpoints[0]!;
});

after(async () => {
  await etcd?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('with certificates by environment: what is set is read', () => {
  assert.equal(kit(files(), 'ipam', 'configure', '--ip-cooldown-seconds=7').status, 0);
  const shown = kit(files(), 'ipam', 'show', '--show-configuration');
  assert.match(shown.stdout, /Cooldown\w+ +\| 7 /);
  assert.equal(shown.stderr, '');
});

test('with certificates as text in the environment', () => {
  const text = (path: string): string => readFileSync(path, 'utf8');
  const env = {
    ETCD_ENDPOINTS: endpoint,
    ETCD_CA_CERT: text(pair.certificate),
    ETCD_CERT: text(pair.certificate),
    ETCD_KEY: text(pair.key),
  };
  assert.equal(kit(env, 'ipam', 'show').status, 0);
});

test('with calicoctl’s configuration file, certificates as files and as text', () => {
  const indented = (path: string): string =>
    readFileSync(path, 'utf8').replaceAll(/^/gm, '      ').trimEnd();
  const spec = {
    files: `
  etcdCACertFile: ${pair.certificate}
  etcdCertFile: ${pair.certificate}
  etcdKeyFile: ${pair.key}`,
    text: ['etcdCACert', 'etcdCert', 'etcdKey']
      .map(
        (name) => `\n  ${name}: |\n${indented(name === 'etcdKey' ? pair.key : pair.certificate)}`,
      )
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
