// The real images: equal bytes on a second build, and every program of them runs in its own root.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { before, describe, test } from 'node:test';
import { CACHE } from '../test/cluster/tools.ts';
import { buildImages } from './build.ts';

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

const rootOf = (image: string): string => join(CACHE, 'rootfs', image);

/** Runs in the image's root and in a network namespace of its own. */
function inside(image: string, argv: readonly string[], input = ''): string {
  return execFileSync('unshare', ['--net', 'chroot', rootOf(image), ...argv], {
    encoding: 'utf8',
    input,
    env: { PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

describe('images', () => {
  let first: readonly string[];
  before(async () => {
    const archives = await buildImages({ anew: true });
    first = await Promise.all(archives.map(digestOf));
  });

  test('are the same bytes when built again', async () => {
    const archives = await buildImages({ anew: true });
    assert.deepEqual(
      archives.map((path) => basename(path)),
      ['etcd.tar', 'kube-controllers.tar', 'calico-node.tar'],
    );
    assert.deepEqual(await Promise.all(archives.map(digestOf)), first);
  });

  test('are left alone while nothing changed', async () => {
    const written = (await buildImages()).map((path) => statSync(path).mtimeMs);
    assert.deepEqual(
      (await buildImages()).map((path) => statSync(path).mtimeMs),
      written,
    );
  });

  const versions: [string, readonly string[], RegExp][] = [
    ['calico-node', ['/usr/local/bin/node', '--version'], /^v24\./],
    ['kube-controllers', ['/usr/local/bin/node', '--version'], /^v24\./],
    ['etcd', ['/usr/local/bin/etcd', '--version'], /etcd Version: 3\.6\.8/],
    ['etcd', ['/usr/local/bin/etcdctl', 'version'], /etcdctl version: 3\.6\.8/],
    ['calico-node', ['/usr/sbin/iptables-nft-restore', '--version'], /nf_tables/],
    ['calico-node', ['/usr/sbin/iptables-legacy-restore', '--version'], /legacy/],
    ['calico-node', ['/usr/sbin/ip6tables-nft-save', '--version'], /nf_tables/],
    ['calico-node', ['/usr/sbin/ip6tables-legacy-save', '--version'], /legacy/],
    ['calico-node', ['/usr/sbin/ipset', '--version'], /ipset v/],
    ['calico-node', ['/usr/sbin/conntrack', '--version'], /conntrack v/],
    ['calico-node', ['/opt/calico/cni/calico', '-v'], /^0\.1\.0$/m],
  ];
  for (const [image, argv, wanted] of versions) {
    test(`${image}: ${argv.join(' ')}`, () => assert.match(inside(image, argv), wanted));
  }

  test('calico-node: koffi finds its native library', () => {
    const program =
      "import k from '/opt/calico/node_modules/koffi/index.js'; console.log(k.version)";
    const argv = ['/usr/local/bin/node', '--input-type=module', '-e', program];
    assert.match(inside('calico-node', argv), /^3\./);
  });

  test('calico-node: the restore child takes every match and target that rules use', () => {
    const rules = [
      '*filter',
      ':t - [0:0]',
      '-A t -m comment --comment "cali:x" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A t -p tcp -m multiport --dports 80,443:450 -m mark --mark 0x1/0x1 -j RETURN',
      '-A t -p 4 -m addrtype --dst-type LOCAL -j DROP',
      '-A t -p icmp -m icmp --icmp-type 8/0 -j MARK --set-xmark 0x1/0x1',
      'COMMIT',
      '',
    ].join('\n');
    const restore = ['/usr/bin/stdbuf', '-oL', '/usr/sbin/iptables-nft-restore', '--noflush'];
    inside('calico-node', restore, rules);
  });

  test('calico-node: no shell, only the plugins that are announced', () => {
    assert.deepEqual(readdirSync(join(rootOf('calico-node'), 'opt/calico/cni')).sort(), [
      'bandwidth',
      'calico',
      'calico-ipam',
      'loopback',
      'portmap',
    ]);
    assert.ok(!readdirSync(join(rootOf('calico-node'), 'usr/bin')).includes('sh'));
  });
});
