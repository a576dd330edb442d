// The program as a process on a real etcd: exit codes, JSON, and a round of set and show.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type EtcdServer, startEtcd } from '../../test/lab/etcd-server.ts';
import { openEtcdStore } from '../datastore/etcd.io.ts';

let etcd: EtcdServer;
before(async () => {
  etcd = await startEtcd();
});
after(() => etcd?.stop());

const kit = (...args: readonly string[]) => {
  const env = { ETCD_ENDPOINTS: etcd.endpoints.join(',') };
  const command = [join(import.meta.dirname, 'main.ts'), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    env,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
};

test('every command answers without Kubernetes; errors end with 1 on stderr', () => {
  const set = kit('ipam', 'configure', '--strictaffinity=true', '--max-blocks-per-host=4');
  assert.equal(set.stderr, '');
  assert.match(set.stdout, /Successfully set StrictAffinity to: true\n/);
  assert.match(kit('ipam', 'show', '--show-configuration').stdout, /MaxBlocksPerHost +\| 4 /);
  assert.deepEqual(JSON.parse(kit('ipam', 'show', '-o', 'json').stdout), []);
  const checked = kit('ipam', 'check');
  assert.match(checked.stdout, /Check complete; found 0 problems\.\n$/);
  assert.equal(checked.status, 0);
  assert.match(kit('ipam', 'gc', '--dry-run').stdout, /Would release 0 old IPs\./);
  const wrong = kit('ipam', 'split', '2', '--name=none');
  assert.deepEqual([wrong.status, wrong.stdout], [1, '']);
  assert.equal(wrong.stderr, 'Error: Unable to find IP pool none\n');
  const client = 'Client Version: {4}v0\\.1\\.0\\nGit commit: {8}([0-9a-f]{12}|unknown)\\n';
  assert.match(kit('version').stdout, new RegExp(`^${client}Unable to detect`));
  assert.match(kit('version', '--client').stdout, new RegExp(`^${client}$`));
});

test('trace: from etcd and a file; --expect decides the exit code', () => {
  const ends = ['10.0.0.1', '10.0.0.2'] as const;
  const traced = kit('trace', ...ends, '--port', '53/udp', '--expect', 'allow');
  assert.deepEqual([traced.status, traced.stderr], [0, '']);
  assert.equal(traced.stdout, '10.0.0.1 -> 10.0.0.2, udp 53\n\nverdict: allow\n');
  assert.equal(kit('trace', ...ends, '--expect', 'deny').status, 1);
  const missing = kit('trace', ...ends, '--with', '/nowhere.yaml');
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /^Error: .*\/nowhere\.yaml/);
  assert.equal(kit('reach').stderr, 'Error: there are no pods\n');
});

test('import calico: the datastore, with a file over it', async () => {
  const spec = { cidr: '10.244.0.0/16', ipipMode: 'Never', natOutgoing: true, blockSize: 26 };
  const metadata = { name: 'default-ipv4-ippool' };
  const key = '/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool';
  const pool = { kind: 'IPPool', apiVersion: 'projectcalico.org/v3', metadata, spec };
  const store = openEtcdStore({ endpoints: etcd.endpoints });
  await store.transaction([], [{ kind: 'put', key, value: JSON.stringify(pool) }]);
  await store.close();
  const live = kit('import', 'calico', '--live');
  assert.equal(live.status, 0, live.stderr);
  assert.match(live.stdout, /podSubnet: 10\.244\.0\.0\/16/);
  assert.match(
    live.stderr,
    /^taken {5}IPPool default-ipv4-ippool spec\.cidr -> networking\.podSubnet$/m,
  );
  assert.match(kit('import', 'calico').stderr, /^Error: name files, or --live/);
});
