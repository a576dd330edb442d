// Members of calico-etcd on hosts of their own: they begin, join, are lost, replaced, and begin anew from a
// snapshot; with TLS among all of them, under certificates that are renewed while they run. One set of
// hosts for the whole file.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { toolPath } from '../cluster/tools.ts';
import { attempt, eventually } from '../lab/command.ts';
import { type EtcdHost, type EtcdHosts, startEtcdHosts } from './hosts.ts';

const VALUES = { etcd: { members: 3, tls: { mode: 'generate' } } };

interface MemberRow {
  readonly name: string;
  readonly role: string;
  readonly problem?: string;
  readonly revision?: number;
}

describe('members of calico-etcd', { timeout: 600_000 }, () => {
  let rig: EtcdHosts;
  let etcdctl = '';
  let [n1, n2, n3, n4]: EtcdHost[] = [];

  before(async () => {
    etcdctl = await toolPath('etcdctl');
    rig = await startEtcdHosts(4);
    [n1, n2, n3, n4] = rig.hosts;
  });
  after(() => rig?.stop());

  const hosts = (...some: (EtcdHost | undefined)[]): readonly EtcdHost[] =>
    some.filter((host) => host !== undefined);
  const files = (host: EtcdHost) => {
    const of = (name: string): string => join(host.folder, 'certificates', name);
    return { ca: of('ca.crt'), certificate: of('tls.crt'), key: of('tls.key') };
  };
  const environment = (host: EtcdHost) => ({
    ETCD_ENDPOINTS: `https://${host.address}:6666`,
    ETCD_CA_CERT_FILE: files(host).ca,
    ETCD_CERT_FILE: files(host).certificate,
    ETCD_KEY_FILE: files(host).key,
  });
  const ctl = (host: EtcdHost, ...words: string[]): Promise<string> =>
    host.run([
      etcdctl,
      `--endpoints=https://${host.address}:6666`,
      `--cacert=${files(host).ca}`,
      `--cert=${files(host).certificate}`,
      `--key=${files(host).key}`,
      ...words,
    ]);
  const get = async (host: EtcdHost, key: string): Promise<string> =>
    (await ctl(host, 'get', '--print-value-only', key)).trim();
  const statusOf = async (host: EtcdHost): Promise<readonly MemberRow[]> =>
    JSON.parse(await host.kit(['etcd', 'status', '-o', 'json'], environment(host), true));

  /** As the hook Job makes the Secrets, and the kubelets bring the members'. */
  async function makeCertificates(...more: string[]): Promise<void> {
    const words = hosts(n1, n2, n3).map(({ address }) => address);
    await n1!.kit(['etcd', 'certificates', '--address', '10.96.232.136', ...words, ...more]);
    await bringCertificates();
  }
  async function bringCertificates(): Promise<void> {
    const secret = await rig.readObject<{ data: Record<string, string> }>(
      'secrets/calico-etcd-server',
    );
    for (const { folder } of rig.hosts)
      for (const [name, text] of Object.entries(secret?.data ?? {})) {
        const file = join(folder, 'certificates', name);
        writeFileSync(`${file}.new`, Buffer.from(text, 'base64'), { mode: 0o600 });
        renameSync(`${file}.new`, file);
      }
  }

  test('three hosts that start at once become one datastore with three votes', async () => {
    await makeCertificates();
    for (const host of hosts(n1, n2, n3)) rig.addPod(host);
    await Promise.all(hosts(n1, n2, n3).map((host) => host.start(VALUES)));
    const seen = await statusOf(n1!);
    assert.deepEqual(seen.map(({ name }) => name).sort(), ['n1', 'n2', 'n3']);
    assert.deepEqual(seen.map(({ role }) => role).sort(), ['follower', 'follower', 'leader']);
    await ctl(n1!, 'put', '/calico/a', 'first');
    for (const host of hosts(n1, n2, n3)) assert.equal(await get(host, '/calico/a'), 'first');
  });

  test('nobody is heard without TLS and a certificate of the authority', async () => {
    const { ca } = files(n1!);
    const url = `https://${n1!.address}:6666/version`;
    await assert.rejects(n2!.run(['curl', '-sS', '--max-time', '3', '--cacert', ca, url]));
    await assert.rejects(
      n2!.run(['curl', '-sSf', '--max-time', '3', url.replace('https', 'http')]),
    );
    const { certificate, key } = files(n2!);
    const shown = ['--cert', certificate, '--key', key];
    assert.match(await n2!.run(['curl', '-sS', '--cacert', ca, ...shown, url]), /"3\.6/);
    const peer = url.replace('6666/version', '6667/members');
    await assert.rejects(n2!.run(['curl', '-sS', '--max-time', '3', '--cacert', ca, peer]));
  });

  test('a host that loses its power goes on with its data; two of three serve meanwhile', async () => {
    await n3!.kill();
    // It may have led: the others choose anew first.
    await eventually('a write is taken', () => ctl(n1!, 'put', '/calico/a', 'second'), 20_000);
    await assert.rejects(n1!.kit(['etcd', 'status'], environment(n1!)));
    const silent = (await statusOf(n1!)).filter(({ problem }) => problem !== undefined);
    assert.deepEqual(
      silent.map(({ name }) => name),
      ['n3'],
    );
    await n3!.start(VALUES);
    assert.equal(await get(n3!, '/calico/a'), 'second');
  });

  test('all lose their power, and the API server with them: they start on their data alone', async () => {
    await Promise.all(hosts(n1, n2, n3).map((host) => host.kill()));
    await Promise.all(hosts(n1, n2, n3).map((host) => host.start(VALUES)));
    assert.equal(await get(n2!, '/calico/a'), 'second');
  });

  test('a host whose disk is lost comes back in the place of its former member', async () => {
    await n2!.kill();
    n2!.wipe();
    await n2!.start(VALUES);
    assert.match(n2!.words, /remove: its data is gone/);
    assert.equal(await get(n2!, '/calico/a'), 'second');
    assert.equal((await statusOf(n1!)).length, 3);
  });

  test('what etcd left that ended while it joined is no data: the node joins anew', async () => {
    await n2!.kill();
    n2!.wipe();
    mkdirSync(join(n2!.folder, 'calico-data/member/snap'), { recursive: true });
    await n2!.start(VALUES);
    await ctl(n1!, 'put', '/calico/c', 'all of them');
    assert.equal(await get(n2!, '/calico/c'), 'all of them');
    assert.equal((await statusOf(n1!)).length, 3);
  });

  test('a further node is a spare, and takes the place of one that was deleted', async () => {
    rig.addPod(n4!);
    const started = n4!.start(VALUES);
    // The Job did not know it: its certificate comes later, by the kubelet.
    const named = (): boolean =>
      new X509Certificate(readFileSync(files(n4!).certificate)).checkIP(n4!.address) !== undefined;
    await eventually('its address is in the certificate', async () => {
      await bringCertificates();
      return named();
    });
    await eventually('it says so', () => /this node is a spare/.test(n4!.words), 30_000);
    assert.equal((await statusOf(n1!)).length, 3);
    await n3!.kill();
    rig.removePod(n3!);
    await started;
    const seen = await statusOf(n1!);
    assert.deepEqual(seen.map(({ name }) => name).sort(), ['n1', 'n2', 'n4']);
    assert.deepEqual(
      seen.flatMap(({ problem }) => problem ?? []),
      [],
    );
    assert.equal(await get(n4!, '/calico/a'), 'second');
    // Back again, it finds that it is no member any more and keeps out.
    const back = n3!.start(VALUES);
    await eventually('it has set its data aside', () => /set-aside/.test(n3!.words), 30_000);
    await n3!.kill();
    await assert.rejects(back);
  });

  test('new certificates serve without a restart', async () => {
    const shown = async (host: EtcdHost): Promise<string> => {
      const { certificate, key } = files(host);
      const words = ['-connect', `${host.address}:6666`, '-cert', certificate, '-key', key];
      const said = await n1!.run(['sh', '-c', `openssl s_client ${words.join(' ')} </dev/null`]);
      const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(said)?.[0];
      return new X509Certificate(pem ?? '').serialNumber;
    };
    const [before, serving] = [await shown(n4!), hosts(n1, n2, n4)];
    await makeCertificates(n4!.address, '--rotation', '2');
    for (const host of serving) assert.notEqual(await shown(host), before);
    await ctl(n4!, 'put', '/calico/a', 'third');
    // Members call each other anew too.
    await n1!.kill();
    await n1!.start(VALUES);
    assert.equal(await get(n1!, '/calico/a'), 'third');
  });

  test('another authority, turn by turn: somebody who writes all the time is never refused', async () => {
    const serving = hosts(n1, n2, n4);
    const addresses = [n4!.address, '--rotation', '2', '--settle', '0', '--authority', 'new'];
    const former = readFileSync(files(n1!).certificate, 'utf8');
    const formerKey = readFileSync(files(n1!).key, 'utf8');
    let [writes, isOver] = [0, false];
    const endpoints = serving.map(({ address }) => `https://${address}:6666`).join();
    const writing = (async () => {
      const { ca, certificate, key } = files(n3!);
      const shown = [`--cacert=${ca}`, `--cert=${certificate}`, `--key=${key}`];
      const put = [etcdctl, `--endpoints=${endpoints}`, ...shown, 'put', '/calico/w', 'x'];
      // A member that restarts may have been asked: the next one is not refused.
      for (; !isOver; writes++)
        await n3!.run(put).catch((cause: unknown) => {
          if (/x509|bad certificate|remote error|unknown authority/.test(String(cause)))
            throw cause;
        });
    })();
    const trusted = (): number =>
      readFileSync(files(n1!).ca, 'utf8').split('BEGIN CERTIFICATE').length - 1;

    await makeCertificates(...addresses);
    assert.equal(trusted(), 2);
    await makeCertificates(...addresses);
    assert.equal(readFileSync(files(n1!).certificate, 'utf8'), former, 'no member restarted yet');
    for (const host of serving) {
      await host.kill();
      rig.addPod(host);
      await host.start(VALUES);
    }
    rig.addPod(n3!);
    await makeCertificates(...addresses);
    assert.notEqual(readFileSync(files(n1!).certificate, 'utf8'), former);
    for (const host of serving) await ctl(host, 'put', '/calico/b', 'signed anew');
    await makeCertificates(...addresses);
    assert.equal(trusted(), 1);
    for (const host of serving) {
      await host.kill();
      await host.start(VALUES);
      assert.equal(await get(host, '/calico/b'), 'signed anew');
    }
    isOver = true;
    await writing;
    assert.ok(writes > 10, `${writes} writes`);

    const [file, keyFile] = [join(n1!.folder, 'former.crt'), join(n1!.folder, 'former.key')];
    writeFileSync(file, former);
    writeFileSync(keyFile, formerKey, { mode: 0o600 });
    const shown = [`--cacert=${files(n1!).ca}`, `--cert=${file}`, `--key=${keyFile}`];
    const ask = [etcdctl, `--endpoints=https://${n1!.address}:6666`, ...shown, 'get', '/calico/b'];
    await assert.rejects(n1!.run(ask), /remote error|bad certificate|deadline exceeded/);
  });

  test('space is given back, one member after the other, the leader last', async () => {
    for (let i = 0; i < 20; i++) await ctl(n1!, 'put', '/big', 'x'.repeat(100_000));
    const seen = await statusOf(n1!);
    await ctl(n1!, 'compact', String(Math.max(...seen.map(({ revision }) => revision ?? 0))));
    await ctl(n1!, 'del', '/big');
    const leader = seen.find(({ role }) => role === 'leader')?.name;
    const said = await n1!.kit(['etcd', 'defrag'], environment(n1!));
    const order = said
      .trim()
      .split('\n')
      .map((line) => line.split(':')[0]);
    assert.equal(order.length, 3);
    assert.equal(order.at(-1), leader);
  });

  test('a snapshot is whole, and the folder keeps the newest', async () => {
    const folder = join(n2!.folder, 'snapshots');
    const words = ['etcd', 'snapshot', '--dir', folder, '--keep', '2'];
    for (const name of ['20200101T000000Z', '20200102T000000Z'])
      writeFileSync(join(folder, `calico-etcd-${name}.db`), '');
    await n1!.kit(words, environment(n1!));
    const names = readdirSync(folder).sort();
    assert.equal(names.length, 2);
    assert.equal(names[0], 'calico-etcd-20200102T000000Z.db');
    const bytes = readFileSync(join(folder, names[1]!));
    const hash = createHash('sha256').update(bytes.subarray(0, -32)).digest();
    assert.deepEqual(hash, bytes.subarray(-32));
  });

  test('all begin anew from a snapshot that one of them has; watchers read everything anew', async () => {
    await ctl(n1!, 'put', '/calico/a', 'lost');
    const seen = await statusOf(n1!);
    const former = Math.max(...seen.map(({ revision }) => revision ?? 0));
    const restore = readdirSync(join(n2!.folder, 'snapshots')).sort().at(-1)!;
    const values = { etcd: { ...VALUES.etcd, restore } };
    await Promise.all(hosts(n1, n2, n4).map((host) => host.kill()));
    await Promise.all(hosts(n1, n2, n4).map((host) => host.start(values)));
    for (const host of hosts(n1, n2, n4)) assert.equal(await get(host, '/calico/a'), 'third');
    const now = await statusOf(n1!);
    assert.equal(now.length, 3);
    assert.ok(now.every(({ revision }) => revision! > former + 1_000_000));
    // Once: the value stays, and later starts change nothing.
    await ctl(n1!, 'put', '/calico/a', 'fourth');
    await n2!.kill();
    await n2!.start(values);
    assert.equal(await get(n2!, '/calico/a'), 'fourth');
  });

  test('a member that will not come back is taken out by hand', async () => {
    await n4!.kill();
    const remove = () => n1!.kit(['etcd', 'remove', 'n4'], environment(n1!));
    await eventually('the others agree', remove, 20_000);
    assert.deepEqual((await statusOf(n1!)).map(({ name }) => name).sort(), ['n1', 'n2']);
  });

  test('a member that has lost the others gives a snapshot all the same', async () => {
    await n2!.kill();
    const file = join(n1!.folder, 'alone.db');
    await assert.rejects(n1!.kit(['etcd', 'snapshot', file], environment(n1!)));
    assert.equal(existsSync(file), false);
    await n1!.kit(['etcd', 'snapshot', '--alone', file], environment(n1!));
    assert.ok(existsSync(file));
  });

  test('nothing is left in the root namespace', () => {
    assert.doesNotMatch(attempt(['ip', '-br', 'link']).output, /br0|^p\d/m);
  });
});
