// The measurements, one after another; this process is in the node's namespace.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEtcdStore } from '../../../src/datastore/etcd.io.ts';
import { run } from '../../lab/command.ts';
import { startEtcd } from '../../lab/etcd-server.ts';
import { buildAgent } from './agent.ts';
import { crr } from './crr-series.ts';
import { wireLocalPods, wirePod } from './flow.ts';
import { type Bench, series } from './series.ts';
import { LOCAL_PODS } from './stored.ts';

const wanted = (process.env['SERIES'] ?? '').split(',').filter(Boolean);
const node = process.argv[2]!;
run(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0-peer']);
run(['ip', 'address', 'add', '10.201.0.1/24', 'dev', 'eth0']);
run(['ip', 'link', 'set', 'eth0', 'up']);
run(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
wireLocalPods(LOCAL_PODS);
const folder = mkdtempSync(join(tmpdir(), 'ckt-pol-'));
const etcd = await startEtcd();
const store = openEtcdStore({ endpoints: etcd.endpoints });
const pods = [
  wirePod(node, 'c', '10.1.250.1', 'client'),
  wirePod(node, 's', '10.1.250.2', 'server'),
];
const [client, server] = pods as [(typeof pods)[0], (typeof pods)[0]];
try {
  const program = await buildAgent(folder);
  const bench: Bench = { program, etcd: etcd.endpoints[0]!, store, client, server };
  for (const [name, measure] of Object.entries({ ...series, crr }))
    if (wanted.length === 0 || wanted.includes(name)) await measure(bench);
} finally {
  for (const { netns } of pods) netns.remove();
  store.close();
  await etcd.stop();
  rmSync(folder, { recursive: true, force: true });
}
