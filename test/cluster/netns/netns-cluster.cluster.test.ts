// The cluster itself: it comes and goes without a trace, also when its maker is killed half-way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { command, until } from '../command.ts';
import { buildTestImages, PROBE_IMAGE } from '../images.ts';
import { PREFIX, RUN } from './layout.ts';
import { OWN_FOLDERS } from './mount-points.ts';
import { netnsCluster } from './netns-cluster.ts';

const cluster = netnsCluster(1);
after(() => cluster.delete());

const isOurs = (name: string): boolean => name.startsWith(`${PREFIX}-`);

/** Field 5 of each line. */
const mountPoints = (): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[4]!);

/** What a cluster could leave on the machine. */
async function traces(): Promise<string> {
  const cgroups = ['.', ...readdirSync('/sys/fs/cgroup')].flatMap((hierarchy) => {
    const folder = join('/sys/fs/cgroup', hierarchy);
    return existsSync(join(folder, 'cgroup.procs')) ? readdirSync(folder) : [];
  });
  const sysctls = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops'];
  return JSON.stringify({
    namespaces: existsSync('/run/netns') ? readdirSync('/run/netns').filter(isOurs) : [],
    links: await command(['ip', '-br', 'link']),
    routes: await command(['ip', 'route']),
    mounts: mountPoints().filter((point) => !point.startsWith('/run/netns/')),
    cgroups: cgroups.filter(isOurs),
    folders: Object.values(OWN_FOLDERS).filter((folder) => existsSync(folder)),
    sysctls: sysctls.map((name) => readFileSync(join('/proc/sys', name), 'utf8')),
    processes: processesOfRun(),
    state: existsSync(RUN),
  });
}

/** Command lines that mention the cluster's state. */
const processesOfRun = (): readonly string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.includes(`${RUN}/`));

await cluster.delete();
const before = await traces();

test('a pod on the host network runs; delete leaves nothing', { timeout: 120_000 }, async () => {
  await cluster.create(() => {});
  await cluster.loadImages(await buildTestImages());
  const node = cluster.nodes[0]!.name;
  const spec = { hostNetwork: true, nodeName: node, tolerations: [{ operator: 'Exists' }] };
  const image = ['--image', PROBE_IMAGE, '--image-pull-policy=Never'];
  const overrides = ['--overrides', JSON.stringify({ spec })];
  await cluster.kubectl(['run', 'probe', ...image, ...overrides, '--', 'sleep', '600']);
  await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/probe', '--timeout=30s']);
  const said = await cluster.kubectl(['exec', 'probe', '--', 'hostname']);
  assert.equal(said.trim(), node);
  await cluster.delete();
  assert.equal(await traces(), before);
});

const MAKER = `const { netnsCluster } = await import(process.argv[1]);
await netnsCluster(1).create((what) => console.log(what));`;

/** Starts to create a cluster in a process of its own. */
function maker(): ReturnType<typeof spawn> {
  const module = join(import.meta.dirname, 'netns-cluster.ts');
  const args = ['--input-type=module', '-e', MAKER, module];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

for (const when of ['state folder', 'API server', 'control plane', 'node'] as const) {
  test(`killed while making the ${when}: delete leaves nothing`, { timeout: 120_000 }, async () => {
    const child = maker();
    if (when === 'control plane') await once(child.stdout!, 'data');
    else {
      const record = { 'state folder': 'kubeadm.yaml', 'API server': 'pid/kube-apiserver' };
      const file = join(RUN, when === 'node' ? 'pid/n1' : record[when]);
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(cluster.exists(), false);
    await cluster.delete();
    // A command that the maker was waiting for ends by itself, once nobody answers it.
    await until('its commands ended', 20, async () => processesOfRun().length === 0);
    assert.equal(await traces(), before);
  });
}
