// etcd comes back with the data of an earlier hour: pods that came since keep their addresses.
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { toolPath } from '../cluster/tools.ts';
import { eventually } from './command.ts';
import { type LabPod, openLab } from './lab.ts';

test('a datastore of an earlier hour: what lives is put back before an address is given', {
  timeout: 120_000,
}, async () => {
  const lab = await openLab(1);
  try {
    const host = lab.host(0);
    await host.startAgent();
    const early = await lab.addPod(host, 'early');
    await lab.stopEtcd();
    const data = join(dirname(host.directory), 'etcd');
    cpSync(data, `${data}.backup`, { recursive: true });
    lab.startEtcd();
    await eventually('etcd is back', () => host.http(9099, '/readiness').ok);
    const late: LabPod[] = [];
    for (const name of ['late1', 'late2', 'late3']) late.push(await lab.addPod(host, name));
    assert.equal((await lab.deletePod(host, early)).exit, 0);
    await lab.stopEtcd();
    rmSync(data, { recursive: true });
    cpSync(`${data}.backup`, data, { recursive: true });
    lab.startEtcd();
    await eventually('it is noticed', () =>
      host.log('agent').includes('the datastore was restored'),
    );
    const etcdctl = [await toolPath('etcdctl'), `--endpoints=${lab.etcdEndpoint}`];
    const handles = (): string =>
      host.exec([...etcdctl, 'get', '/calico/ipam/v2/handle/', '--prefix', '--keys-only']);
    await eventually('all are put back, and what had gone is swept', () => {
      const stored = handles();
      return (
        late.every(({ containerId }) => stored.includes(containerId)) &&
        !stored.includes(early.containerId)
      );
    });
    const next = await lab.addPod(host, 'next');
    assert.equal(new Set([...late, next].map(({ ip }) => ip)).size, 4);
    for (const pod of late) assert.ok(lab.pings(next, pod.ip), pod.name);
    for (const pod of [...late, next]) assert.equal((await lab.deletePod(host, pod)).exit, 0);
    assert.equal(handles().trim(), '');
  } finally {
    await lab.stop();
  }
});
