// calico-etcd on a real cluster, all its nodes of the control plane: one member with certificates that the
// chart makes, then three, new certificates, a snapshot, a restore, lost pods, and an uninstall that erases it.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { helmArguments, prepareCluster, withLastWords } from './bring-up.ts';
import { calicoPods, calicoReady, NAMESPACE } from './calico-pods.ts';
import { until } from './command.ts';
import { netnsCluster } from './netns/netns-cluster.ts';
import { openProgress } from './progress.ts';
import { secretsShown } from './secrets.ts';

const VALUES = [
  ...['--set', 'etcd.tls.mode=generate', '--set', 'etcd.snapshots.schedule=@yearly'],
  ...['--set', 'etcd.defragmentation.schedule=@yearly', '--set', 'uninstall.removeDatastore=true'],
];
const CERTIFICATES = '/etc/calico/etcd-certificates';
const POOLS = '/calico/resources/v3/projectcalico.org/ippools/';

interface MemberRow {
  readonly role: string;
  readonly version?: string;
}

describe('calico-etcd on a cluster', { timeout: 900_000 }, () => {
  const cluster = netnsCluster(3);
  const progress = openProgress((line) => console.error(line));
  const kubectl = (...args: string[]) => cluster.kubectl(['-n', NAMESPACE, ...args]);
  const helm = (verb: 'install' | 'upgrade', ...more: string[]) =>
    progress.step(`helm ${verb} ${more.join(' ')}`, () =>
      cluster.helm([...helmArguments(verb), ...VALUES, ...more]),
    );
  const ready = (etcdMembers: number) =>
    progress.step(`${etcdMembers} of calico-etcd, and the rest`, () =>
      withLastWords(cluster, async () => {
        await kubectl('rollout', 'status', 'daemonset/calico-etcd', '--timeout=180s');
        await calicoReady(cluster, { etcdMembers, seconds: 180 });
      }),
    );
  const first = cluster.nodes[0]!;

  before(async () => {
    await prepareCluster(cluster, progress);
  });
  after(() => cluster.delete());

  const members = async (): Promise<readonly MemberRow[]> => {
    const words = ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'etcd', 'status', '-o', 'json'];
    return JSON.parse(await kubectl('exec', 'deploy/calico-kube-controllers', '--', ...words));
  };
  const etcdPods = async (): Promise<readonly string[]> =>
    (await calicoPods(cluster))
      .map(({ name }) => name)
      .filter((name) => /^calico-etcd-\w{5}$/.test(name));
  const etcdctl = async (...words: string[]): Promise<string> => {
    const [pod = ''] = await etcdPods();
    const files = [
      ['cacert', 'ca.crt'],
      ['cert', 'tls.crt'],
      ['key', 'tls.key'],
    ] as const;
    const shown = files.map(([flag, file]) => `--${flag}=${CERTIFICATES}/${file}`);
    const command = ['/usr/local/bin/etcdctl', '--endpoints=https://127.0.0.1:6666', ...shown];
    return kubectl('exec', pod, '-c', 'calico-etcd', '--', ...command, ...words);
  };
  const secretFile = async (name: string, key: string): Promise<string> => {
    const path = `jsonpath={.data.${key.replace('.', '\\.')}}`;
    return Buffer.from(await kubectl('get', 'secret', name, '-o', path), 'base64').toString();
  };
  /** Serial number of what a member shows to a client of the cluster's network. */
  const served = async (): Promise<string> => {
    const script = `openssl s_client -connect ${first.address}:6666 </dev/null 2>/dev/null`;
    const said = await cluster.enter(first.name, ['bash', '-c', `${script}; true`]);
    const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(said)?.[0];
    return new X509Certificate(pem ?? '').serialNumber;
  };
  const runNow = async (cronJob: string): Promise<string> => {
    await kubectl('create', 'job', 'now', `--from=cronjob/${cronJob}`);
    await kubectl('wait', 'job/now', '--for=condition=complete', '--timeout=60s');
    const said = await kubectl('logs', 'job/now');
    await kubectl('delete', 'job', 'now', '--wait');
    return said;
  };

  test('one member, HTTPS, and clients that must show a certificate', async () => {
    await helm('install');
    await ready(1);
    const url = `https://10.96.232.136:6666/version`;
    const curl = (...words: string[]) =>
      cluster.enter(first.name, ['curl', '-sS', '--max-time', '3', ...words]);
    await assert.rejects(curl('-k', url));
    await assert.rejects(curl('--fail', url.replace('https', 'http')));
    assert.match(await etcdctl('get', '--prefix', '--keys-only', POOLS), /default-ipv4-ippool/);
    assert.deepEqual(
      (await members()).map(({ role }) => role),
      ['leader'],
    );
    // What made them is gone; what they are stays.
    const left = await until('what made the certificates is gone', 30, async () => {
      const names = await kubectl(
        'get',
        'job,role,rolebinding,serviceaccount,secret',
        '-o',
        'name',
      );
      return !names.includes('calico-etcd-certificates') && names;
    });
    for (const side of ['ca', 'server', 'client'])
      assert.match(left, new RegExp(`secret/calico-etcd-${side}`));
  });

  test('two further nodes of the control plane become members; the data is on all three', async () => {
    const names = cluster.nodes.slice(1).map(({ name }) => name);
    await kubectl('label', 'node', ...names, 'node-role.kubernetes.io/control-plane=');
    await helm('upgrade', '--set', 'etcd.members=3', '--set-string', 'etcd.tls.rotate=2');
    await ready(3);
    const roles = async () => (await members()).map(({ role }) => role).sort();
    await until('one leads', 30, async () => (await roles()).join() === 'follower,follower,leader');
    assert.match(await etcdctl('get', '--prefix', '--keys-only', POOLS), /default-ipv4-ippool/);
  });

  test('helm upgrade renews the certificates, and they serve without a restart', async () => {
    const [pods, shown] = [await etcdPods(), await served()];
    const authority = await secretFile('calico-etcd-ca', 'ca.crt');
    await helm('upgrade', '--set', 'etcd.members=3', '--set-string', 'etcd.tls.rotate=3');
    assert.equal(await secretFile('calico-etcd-ca', 'ca.crt'), authority);
    const wanted = new X509Certificate(await secretFile('calico-etcd-server', 'tls.crt'));
    assert.notEqual(wanted.serialNumber, shown);
    await until('the new one is served', 90, async () => (await served()) === wanted.serialNumber);
    assert.deepEqual(await etcdPods(), pods);
    await until('all members answer', 30, async () => (await members()).length === 3);
  });

  test('private keys show nowhere but in their Secrets', async () => {
    const keys = await Promise.all([
      secretFile('calico-etcd-ca', 'ca.key'),
      secretFile('calico-etcd-server', 'tls.key'),
      secretFile('calico-etcd-client', 'tls.key'),
    ]);
    const secrets = keys.map((pem) => pem.split('\n')[1]!);
    assert.ok(secrets.every((line) => line.length > 40));
    const stored = await etcdctl('get', '--prefix', '/calico/');
    assert.deepEqual((await secretsShown(cluster, secrets, stored)).shown, []);
  });

  test('another authority begins: trusted beside the present one, by members that restarted', async () => {
    const asked = [
      '--set-string',
      'etcd.tls.rotate=3',
      '--set-string',
      'etcd.tls.rotate_authority=2',
    ];
    await helm('upgrade', '--set', 'etcd.members=3', ...asked);
    const bundle = await secretFile('calico-etcd-server', 'ca.crt');
    assert.equal(bundle.split('BEGIN CERTIFICATE').length - 1, 2);
    await ready(3);
    const trusted = await cluster.kubectl([
      '-n',
      NAMESPACE,
      'get',
      'pods',
      '-l',
      'k8s-app=calico-etcd',
      '-o',
      'jsonpath={.items[*].metadata.annotations}',
    ]);
    assert.equal(trusted.match(/"calico-kit\/etcd-authority":"2"/g)?.length, 3);
    await until('all members answer', 30, async () => (await members()).length === 3);
  });

  test('snapshots and defragmentation, when the clock says so', async () => {
    assert.match(await runNow('calico-etcd-snapshot'), /calico-etcd-\d+T\d+Z\.db: \d+ bytes/);
    assert.match(await runNow('calico-etcd-defragmentation'), /give back|MiB now/);
  });

  test('a restore brings back what the snapshot has, on all members', async () => {
    await etcdctl('put', '/calico/test/after', 'lost');
    const found = await Promise.all(
      cluster.nodes.map(({ name }) =>
        cluster.enter(name, ['bash', '-c', 'ls /var/etcd-snapshots 2>/dev/null; true']),
      ),
    );
    const snapshot = found.join('\n').trim();
    await helm('upgrade', '--set', 'etcd.members=3', '--set', `etcd.restore=${snapshot}`);
    await until('the data of the snapshot', 120, async () => {
      const keys = await etcdctl('get', '--prefix', '--keys-only', '/calico/');
      return keys.includes('default-ipv4-ippool') && !keys.includes('/calico/test/after');
    });
    await ready(3);
    await until('all members answer', 30, async () => (await members()).length === 3);
  });

  test('all members end at once and come back with their data', async () => {
    await kubectl('delete', 'pod', '-l', 'k8s-app=calico-etcd', '--wait');
    await ready(3);
    assert.match(await etcdctl('get', '--prefix', '--keys-only', POOLS), /default-ipv4-ippool/);
  });

  test('uninstall erases it all, but for the snapshots', async () => {
    await cluster.helm(['uninstall', 'calico', '-n', NAMESPACE, '--wait', '--timeout', '3m']);
    const left = await kubectl('get', 'secret,configmap,role,serviceaccount', '-o', 'name');
    assert.doesNotMatch(left, /calico/);
    for (const { name } of cluster.nodes) {
      const files = await cluster.enter(name, ['find', '/var/etcd', '!', '-type', 'd']);
      assert.equal(files.trim(), '');
    }
  });
});
