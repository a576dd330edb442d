// A release made, signed with a key of this test's own, verified by Helm, and installed from its OCI
// layout as a registry would serve it.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ensurePackages } from '../../test/cluster/packages.ts';
import { toolPath } from '../../test/cluster/tools.ts';
import { release } from './release.ts';

const work = mkdtempSync(join(tmpdir(), 'ckt-release-'));
const [out, home] = [join(work, 'out'), join(work, 'gnupg')];
const keyring = join(work, 'secring.gpg');
const [publicRing, env] = [join(work, 'pubring.gpg'), { ...process.env, GNUPGHOME: home }];
const KEY = 'calico-kit test';
const execute = promisify(execFile);

const gpg = (...args: string[]): Buffer =>
  execFileSync('gpg', ['--batch', '--quiet', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });

before(async () => {
  ensurePackages(['gnupg']);
  mkdirSync(home, { mode: 0o700 });
  gpg('--passphrase', '', '--quick-generate-key', KEY, 'rsa3072', 'sign', 'never');
  writeFileSync(keyring, gpg('--export-secret-keys'));
  writeFileSync(publicRing, gpg('--export'));
  await release({ out, sign: { key: KEY, keyring } });
});
after(() => {
  spawnSync('gpgconf', ['--kill', 'all'], { env });
  rmSync(work, { recursive: true, force: true });
});

const sha256 = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

const ARCHIVE = 'calico-0.1.0.tgz';

test('Helm verifies the signature, and finds a byte that changed', async () => {
  const helm = await toolPath('helm');
  const verify = () =>
    spawnSync(helm, ['verify', join(out, ARCHIVE), '--keyring', publicRing], { encoding: 'utf8' });
  const { status, stdout, stderr } = verify();
  assert.equal(status, 0, stderr);
  assert.match(stdout, new RegExp(`Signed by: ${KEY}`));
  const good = readFileSync(join(out, ARCHIVE));
  const bad = Buffer.from(good);
  bad[bad.length >> 1]! ^= 1;
  writeFileSync(join(out, ARCHIVE), bad);
  assert.notEqual(verify().status, 0);
  writeFileSync(join(out, ARCHIVE), good);
});

test('digests and provenance name every file that is published', () => {
  const sums = readFileSync(join(out, 'SHA256SUMS'), 'utf8');
  interface Statement {
    readonly subject: readonly { readonly name: string; readonly digest: { sha256: string } }[];
    readonly predicate: object;
  }
  const statement = JSON.parse(
    readFileSync(join(out, 'provenance.intoto.json'), 'utf8'),
  ) as Statement;
  const names = statement.subject.map(({ name }) => name);
  assert.deepEqual(names.sort(), [ARCHIVE, `${ARCHIVE}.prov`, 'calico-kit-0.1.0.tgz'].sort());
  for (const { name, digest } of statement.subject) {
    assert.equal(digest.sha256, sha256(join(out, name)));
    assert.ok(sums.includes(`${digest.sha256}  ${name}\n`));
  }
  assert.match(JSON.stringify(statement.predicate), /"gitCommit":"[0-9a-f]{40}"/);
});

// Helm writes the present time into the archive's headers; what is in the files is the same.
test('two releases of one commit hold the same', async () => {
  const again = join(work, 'again');
  await release({ out: again });
  const packed = 'calico-kit-0.1.0.tgz';
  assert.equal(sha256(join(again, packed)), sha256(join(out, packed)));
  const unpacked = (folder: string) => execFileSync('tar', ['-xzOf', join(folder, ARCHIVE)]);
  assert.ok(unpacked(again).equals(unpacked(out)));
});

test('Helm pulls and renders the chart from the OCI layout, with its provenance', async () => {
  const layout = join(out, 'oci');
  const server = await serve(layout);
  try {
    const { port } = server.address() as AddressInfo;
    const helm = await toolPath('helm');
    const argv = ['pull', `oci://127.0.0.1:${port}/calico`, '--version', '0.1.0', '--plain-http'];
    const pull = [...argv, '--prov', '-d', work];
    // Not the waiting kind: this process is the registry.
    await execute(helm, pull, { env: { ...process.env, HOME: work } });
    assert.equal(sha256(join(work, ARCHIVE)), sha256(join(out, ARCHIVE)));
    assert.equal(sha256(join(work, `${ARCHIVE}.prov`)), sha256(join(out, `${ARCHIVE}.prov`)));
  } finally {
    server.close();
  }
});

/** The reading half of a registry (OCI distribution spec), over a layout. */
async function serve(layout: string): Promise<Server> {
  interface Index {
    readonly manifests: readonly { readonly digest: string; readonly mediaType: string }[];
  }
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Index;
  const [top] = index.manifests;
  const server = createServer((request, response) => {
    const [, kind, reference] =
      /^\/v2\/calico\/(manifests|blobs)\/(.*)$/.exec(request.url ?? '') ?? [];
    if (!kind) return response.writeHead(request.url === '/v2/' ? 200 : 404).end();
    const digest = reference!.startsWith('sha256:') ? reference! : top!.digest;
    const bytes = readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
    response.writeHead(200, {
      'content-type': kind === 'manifests' ? top!.mediaType : 'application/octet-stream',
      'content-length': bytes.length,
      'docker-content-digest': digest,
    });
    return response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
