// CNI ADD and DEL: our shim, agent and a real etcd (with fsync) against Debian's ptp + host-local,
// interleaved in one run, in the same namespaces. Whole processes are timed, exec to exit.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { shimPath } from '../../../images/shim.ts';
import { ensurePackages } from '../../cluster/packages.ts';
import { openLab } from '../../lab/lab.ts';

const PEER_FOLDER = '/usr/lib/cni'; // where Debian's containernetworking-plugins lies

ensurePackages(['containernetworking-plugins', 'iptables', 'ipset', 'iproute2', 'curl']);
if (!existsSync(join(PEER_FOLDER, 'ptp'))) throw new Error(`no ptp in ${PEER_FOLDER}`);
const lab = await openLab(1);
try {
  const host = lab.host(0);
  await host.startAgent();
  // The load runs inside the host's network namespace, so that a plugin is exactly one exec.
  const load = [
    process.execPath,
    join(import.meta.dirname, 'load.ts'),
    await shimPath(),
    PEER_FOLDER,
  ];
  const env = { ...process.env, CALICO_CNI_SOCKET: host.socket };
  const argv = [`--net=/run/netns/${host.netns}`, ...load];
  const { status } = spawnSync('nsenter', argv, { env, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  await lab.stop();
}
