// The service proxy beside kube-proxy in both its modes: each alone in a network namespace, with the same API server and
// the same objects. SERVICES=10000, ADDED=10, STORM=1000 are the defaults.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildOne, installKoffi } from '../../../images/bundle.ts';
import { ensurePackages } from '../../cluster/packages.ts';
import { toolPath } from '../../cluster/tools.ts';
import { createNetns, netnsPath } from '../../lab/netns.ts';
import { figure } from '../figures.ts';
import type { Measured } from './suite.ts';

ensurePackages(['iptables', 'iproute2', 'nftables']);
await toolPath('kube-proxy');

const folder = mkdtempSync(join(tmpdir(), 'calico-kit-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
installKoffi(folder);
await buildOne('test/bench/services/ours.ts', 'ours', folder, false);

/** One peer in a namespace of its own. */
function measure(peer: string): Measured {
  const netns = createNetns(`ckt-svc-${process.pid}-${peer}`);
  try {
    const suite = [process.execPath, join(import.meta.dirname, 'suite.ts'), peer, folder];
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

/** Ratios that are aimed at, against kube-proxy in each of its modes. */
const GOALS = {
  iptables: { full: 0.5, added: 0.1, storm: 0.3, rss: 1 },
  nftables: { full: 0.1, added: 0.1, storm: 0.3, rss: 1 },
} as const;

const ours = measure('ours');
const floor = ours.floorMs!.toFixed(2);
console.log(`bench services-one-added-floor ${floor}ms: its lines through a restore child alone`);
for (const mode of ['iptables', 'nftables'] as const) {
  const theirs = measure(mode);
  const goal = GOALS[mode];
  const tell = (what: string, figureOf: (one: Measured) => number, unit: string, wanted: number) =>
    console.log(figure(`services-${what}-${mode}`, figureOf(ours), figureOf(theirs), unit, wanted));
  tell('full-sync', ({ fullMs }) => fullMs, 'ms', goal.full);
  tell('full-sync-cpu', ({ fullCpuMs }) => fullCpuMs, 'ms', goal.full);
  tell('one-added', ({ addedMs }) => addedMs, 'ms', goal.added);
  tell('one-added-rules', ({ addedRulesMs }) => addedRulesMs, 'ms', goal.added);
  tell('storm-cpu', ({ stormCpuMs }) => stormCpuMs, 'ms', goal.storm);
  tell('storm-last', ({ stormMs }) => stormMs, 'ms', 1);
  tell('rss', ({ rssMib }) => rssMib, 'MiB', goal.rss);
}
