// CNI ADD and DEL: our shim, agent and a real etcd against Debian's ptp + host-local, interleaved in one
// run and in the same host namespace. Whole processes are timed, exec to exit. One series keeps etcd's
// data on disk with fsync, one in memory (tmpfs), where only the processor counts.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shimPath } from '../../../images/shim.ts';
import { AGENT_FLAGS, AGENT_MEMORY } from '../../../src/deploy/constructs/calico-node.ts';
import { ensurePackages } from '../../cluster/packages.ts';
import { toolPath } from '../../cluster/tools.ts';
import { type Lab, openLab } from '../../lab/lab.ts';
import { measure, NETWORK } from './load.ts';
import { openSpawner } from './spawner.ts';

const PEER_FOLDER = '/usr/lib/cni'; // where Debian's containernetworking-plugins lies

ensurePackages(['containernetworking-plugins', 'iptables', 'ipset', 'iproute2', 'curl']);
if (!existsSync(join(PEER_FOLDER, 'ptp'))) throw new Error(`no ptp in ${PEER_FOLDER}`);
const series = [
  { name: 'tmpfs', folder: '/dev/shm' },
  { name: 'disk', folder: tmpdir() },
];
for (const { name, folder } of series) {
  const lab = await openLab(1, { dataFolder: folder });
  const state = mkdtempSync(join(folder, 'calico-kit-bench-'));
  const host = lab.host(0);
  const spawner = openSpawner(host.netns);
  try {
    await putProfile(lab);
    await host.startAgent({ [AGENT_MEMORY.name]: AGENT_MEMORY.value }, AGENT_FLAGS);
    const processes = [host.agent!.pid!, lab.etcdPid];
    await measure({
      series: name,
      spawner,
      processes,
      state,
      ours: await shimPath(),
      socket: host.socket,
      peerFolder: PEER_FOLDER,
    });
  } finally {
    spawner.close();
    await lab.stop();
    rmSync(state, { recursive: true, force: true });
  }
}

/** The rules of a Kubernetes namespace without policies: everything, both ways. */
async function putProfile(lab: Lab): Promise<void> {
  const rules = [{ action: 'Allow' }];
  const profile = {
    kind: 'Profile',
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: NETWORK },
    spec: { ingress: rules, egress: rules },
  };
  const key = `/calico/resources/v3/projectcalico.org/profiles/${NETWORK}`;
  const etcdctl = await toolPath('etcdctl');
  lab
    .host(0)
    .exec([etcdctl, `--endpoints=${lab.etcdEndpoint}`, 'put', key, JSON.stringify(profile)]);
}
