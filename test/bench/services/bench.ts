// The service proxy beside kube-proxy: each alone in a network namespace, with the same API server and
// the same objects. SERVICES=10000, ADDED=10, STORM=1000 are the defaults.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensurePackages } from '../../cluster/packages.ts';
import { toolPath } from '../../cluster/tools.ts';
import { createNetns, netnsPath } from '../../lab/netns.ts';
import { figure } from '../figures.ts';
import type { Measured } from './suite.ts';

ensurePackages(['iptables', 'iproute2']);
await toolPath('kube-proxy');

/** One peer in a namespace of its own. */
function measure(peer: string): Measured {
  const netns = createNetns(`ckt-svc-${process.pid}-${peer}`);
  try {
    const suite = [process.execPath, join(import.meta.dirname, 'suite.ts'), peer];
    const { stdout, status } = spawnSync('nsenter', [`--net=${netnsPath(netns.name)}`, ...suite], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Error(`${peer} ended with ${status}`);
    return JSON.parse(stdout) as Measured;
  } finally {
    netns.remove();
  }
}

const [ours, theirs] = [measure('ours'), measure('kube-proxy')];
console.log(figure('services-full-sync', ours.fullMs, theirs.fullMs, 'ms', 0.5));
console.log(figure('services-one-added', ours.addedMs, theirs.addedMs, 'ms', 0.1));
console.log(figure('services-storm-cpu', ours.stormCpuMs, theirs.stormCpuMs, 'ms', 0.3));
console.log(figure('services-storm-last', ours.stormMs, theirs.stormMs, 'ms', 1));
console.log(figure('services-rss', ours.rssMib, theirs.rssMib, 'MiB', 1));
