// The Secrets of calico-etcd's certificates, on objects in memory.
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import { ensureAddress, ensureCertificates, SECRETS, type Secret } from './ensure.io.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1);

/** One API server's Secrets; `before` runs once, ahead of the next write. */
function memorySecrets() {
  const secrets = new Map<string, Secret>();
  let version = 0;
  let before: (() => Promise<void>) | undefined;
  const interrupted = async (): Promise<void> => {
    const work = before;
    before = undefined;
    await work?.();
  };
  const put = (object: Secret): void => {
    const metadata = { ...object.metadata, resourceVersion: String(++version) };
    secrets.set(metadata.name, { ...object, metadata });
  };
  const objects: SharedObjects = {
    get: async <T>(path: string) => secrets.get(path.replace(/^.*\//, '')) as T | undefined,
    createIfAbsent: async (_path, object) => {
      await interrupted();
      const secret = object as Secret;
      if (secrets.has(secret.metadata.name)) return false;
      put(secret);
      return true;
    },
    replace: async (_path, object) => {
      await interrupted();
      const secret = object as Secret;
      const now = secrets.get(secret.metadata.name)?.metadata.resourceVersion;
      if (now !== secret.metadata.resourceVersion) return false;
      put(secret);
      return true;
    },
  };
  const text = (name: string, key: string): string =>
    Buffer.from(secrets.get(name)?.data?.[key] ?? '', 'base64').toString();
  return {
    objects,
    secrets,
    text,
    certificate: (name: string) =>
      new X509Certificate(text(name, name === SECRETS.authority ? 'ca.crt' : 'tls.crt')),
    beforeWrite: (work: () => Promise<void>) => {
      before = work;
    },
  };
}

const reached = (rotation = '', ...more: string[]) => ({
  addresses: ['127.0.0.1', '10.96.232.136', ...more],
  names: ['localhost'],
  rotation,
});

const placeOf = (objects: SharedObjects, now = START) => {
  const said: string[] = [];
  const place = {
    objects,
    namespace: 'kube-system',
    now: () => now,
    say: (words: string) => void said.push(words),
  };
  return { place, said };
};

test('an authority, a certificate of the members and one of clients', async () => {
  const { objects, certificate, text } = memorySecrets();
  const { place, said } = placeOf(objects);
  await ensureCertificates(place, reached());
  assert.equal(said.length, 3);
  const [authority, server, client] = [
    certificate(SECRETS.authority),
    certificate(SECRETS.server),
    certificate(SECRETS.client),
  ];
  assert.ok(authority.ca && authority.verify(authority.publicKey));
  for (const [name, one] of [
    [SECRETS.server, server],
    [SECRETS.client, client],
  ] as const) {
    assert.ok(!one.ca && one.verify(authority.publicKey) && one.checkIssued(authority));
    assert.ok(one.checkPrivateKey(createPrivateKey(text(name, 'tls.key'))));
    assert.equal(text(name, 'ca.crt'), text(SECRETS.authority, 'ca.crt'));
    assert.equal(text(name, 'ca.key'), '', 'the key of the authority is in no other Secret');
  }
  assert.equal(server.checkIP('10.96.232.136'), '10.96.232.136');
  assert.equal(server.checkHost('localhost'), 'localhost');
  assert.deepEqual(server.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.deepEqual(client.keyUsage, ['1.3.6.1.5.5.7.3.2']);
});

test('what is good is kept, byte for byte', async () => {
  const { objects, secrets } = memorySecrets();
  await ensureCertificates(placeOf(objects).place, reached());
  const before = structuredClone([...secrets]);
  const { place, said } = placeOf(objects, START + 200 * DAY);
  await ensureCertificates(place, reached());
  assert.deepEqual([...secrets], before);
  assert.deepEqual(said, [
    'Secret calico-etcd-server: kept, good until 2027-01-01',
    'Secret calico-etcd-client: kept, good until 2027-01-01',
  ]);
});

for (const { name, now, wanted, why, both } of [
  {
    name: 'the end is near',
    now: START + 300 * DAY,
    wanted: reached(),
    why: 'it ends on 2027-01-01',
    both: true,
  },
  {
    name: 'another rotation is asked for',
    now: START,
    wanted: reached('2'),
    why: 'rotation "2" is asked for',
    both: true,
  },
  {
    name: 'a member has another address',
    now: START,
    wanted: reached('', '10.0.0.7'),
    why: 'it lacks 10.0.0.7',
    both: false,
  },
]) {
  test(`made anew under the same authority: ${name}`, async () => {
    const { objects, text } = memorySecrets();
    await ensureCertificates(placeOf(objects).place, reached());
    const keys = () => Object.values(SECRETS).map((one) => text(one, 'tls.key'));
    const [authority, before] = [text(SECRETS.authority, 'ca.key'), keys()];
    const { place, said } = placeOf(objects, now);
    await ensureCertificates(place, wanted);
    assert.equal(text(SECRETS.authority, 'ca.key'), authority);
    assert.notEqual(keys()[1], before[1]);
    assert.equal(keys()[2] !== before[2], both);
    assert.equal(said[0], `Secret calico-etcd-server: made, since ${why}`);
    // And then it is good.
    await ensureCertificates(placeOf(objects, now).place, wanted);
    assert.notEqual(keys()[1], before[1]);
  });
}

test('another authority: all trust both, then it signs, then the former one goes', async () => {
  const { objects, text, certificate } = memorySecrets();
  await ensureCertificates(placeOf(objects).place, reached());
  const HOUR = 3_600_000;
  const pods = (startedAt: number) => async () => [{ name: 'calico-etcd-x', startedAt }];
  const turn = async (hours: number, startedAt: number) => {
    const { place, said } = placeOf(objects, START + hours * HOUR);
    const members = pods(START + startedAt * HOUR);
    await ensureCertificates(place, reached(), {
      rotation: '2',
      settleMilliseconds: HOUR / 2,
      members,
    });
    return said[0] ?? '';
  };
  const authorities = (name: string): number =>
    text(name, 'ca.crt').split('BEGIN CERTIFICATE').length - 1;
  const [former, key] = [certificate(SECRETS.authority), text(SECRETS.server, 'tls.key')];

  assert.match(await turn(1, 0), /a next authority is made/);
  assert.deepEqual([authorities(SECRETS.server), authorities(SECRETS.client)], [2, 2]);
  assert.equal(text(SECRETS.server, 'tls.key'), key, 'nobody shows what is not trusted yet');
  assert.match(await turn(1.1, 1.05), /the change goes on later: not all pods may have/);
  assert.match(await turn(2, 0), /calico-etcd-x must restart first/);
  assert.equal(text(SECRETS.server, 'tls.key'), key);

  assert.match(await turn(3, 1.05), /the next authority signs/);
  const signer = certificate(SECRETS.authority);
  for (const name of [SECRETS.server, SECRETS.client]) {
    assert.ok(certificate(name).verify(signer.publicKey) && certificate(name).checkIssued(signer));
    assert.equal(certificate(name).checkIssued(former), false, 'their names differ');
    assert.equal(authorities(name), 2);
  }
  // A member that joins meanwhile changes nothing of it.
  await ensureAddress(placeOf(objects, START + 3 * HOUR).place, '10.0.0.8');
  assert.equal(authorities(SECRETS.server), 2);

  assert.match(await turn(4, 1.05), /trusted no more/);
  assert.deepEqual([authorities(SECRETS.server), authorities(SECRETS.client)], [1, 1]);
  assert.equal(text(SECRETS.authority, 'former.crt'), '');
  assert.match(await turn(5, 1.05), /Secret calico-etcd-server: kept/);
});

test('a member that joins adds its address and keeps the others', async () => {
  const { objects, certificate } = memorySecrets();
  await ensureCertificates(placeOf(objects).place, reached('a'));
  await ensureAddress(placeOf(objects).place, '10.0.0.8');
  const { place, said } = placeOf(objects);
  await ensureAddress(place, '10.0.0.9');
  assert.equal(said[0], 'Secret calico-etcd-server: made, since it lacks 10.0.0.9');
  for (const address of ['10.96.232.136', '10.0.0.8', '10.0.0.9'])
    assert.equal(certificate(SECRETS.server).checkIP(address), address);
});

test('two that write at once: neither address is lost', async () => {
  const { objects, certificate, beforeWrite } = memorySecrets();
  await ensureCertificates(placeOf(objects).place, reached());
  beforeWrite(() => ensureAddress(placeOf(objects).place, '10.0.0.8'));
  await ensureAddress(placeOf(objects).place, '10.0.0.9');
  for (const address of ['10.0.0.8', '10.0.0.9'])
    assert.equal(certificate(SECRETS.server).checkIP(address), address);
});

test('two that begin at once have one authority', async () => {
  const { objects, certificate, beforeWrite } = memorySecrets();
  beforeWrite(() => ensureCertificates(placeOf(objects).place, reached()));
  await ensureCertificates(placeOf(objects).place, reached());
  const authority = certificate(SECRETS.authority);
  for (const name of [SECRETS.server, SECRETS.client])
    assert.ok(certificate(name).verify(authority.publicKey));
});

test('certificates of an authority that is gone are made anew', async () => {
  const { objects, secrets, certificate } = memorySecrets();
  await ensureCertificates(placeOf(objects).place, reached());
  secrets.delete(SECRETS.authority);
  const { place, said } = placeOf(objects);
  await ensureCertificates(place, reached());
  assert.match(said[1] ?? '', /not of the authority/);
  assert.ok(certificate(SECRETS.client).verify(certificate(SECRETS.authority).publicKey));
});

test('a Secret in the place of the authority that holds none is never overwritten', async () => {
  const { objects, secrets } = memorySecrets();
  const foreign: Secret = { metadata: { name: SECRETS.authority }, data: { 'ca.crt': 'eA==' } };
  secrets.set(SECRETS.authority, foreign);
  await assert.rejects(ensureCertificates(placeOf(objects).place, reached()), /no authority is in/);
  assert.equal(secrets.get(SECRETS.authority), foreign);
});
