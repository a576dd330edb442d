// The load of the CNI bench: run inside the host's namespaces as `load.ts SHIM PEER_FOLDER`.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, median } from '../figures.ts';

const [shim, peerFolder] = process.argv.slice(2) as [string, string];
const ROUNDS = 40;
const WARM_UP = 4;
const BATCHES = 6;
const PARALLEL = 8;

interface Plugin {
  readonly name: string;
  readonly file: string;
  readonly config: string;
}

const state = mkdtempSync(join(tmpdir(), 'calico-kit-bench-'));
const OURS: Plugin = {
  name: 'ours',
  file: shim,
  config: JSON.stringify({
    cniVersion: '1.0.0',
    name: 'k8s-pod-network',
    type: 'calico',
    ipam: { type: 'calico-ipam' },
  }),
};
const PEER: Plugin = {
  name: 'peer',
  file: join(peerFolder, 'ptp'),
  config: JSON.stringify({
    cniVersion: '0.4.0',
    name: 'bench',
    type: 'ptp',
    ipam: {
      type: 'host-local',
      subnet: '10.77.0.0/16',
      dataDir: state,
      routes: [{ dst: '0.0.0.0/0' }],
    },
  }),
};

/** Exec to exit, milliseconds; throws when the plugin refuses. */
function call(plugin: Plugin, command: string, id: string): Promise<number> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    CALICO_CNI_SOCKET: process.env['CALICO_CNI_SOCKET'] ?? '',
    CNI_COMMAND: command,
    CNI_CONTAINERID: createHash('sha256').update(id).digest('hex'),
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id}`,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: peerFolder,
  };
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(plugin.file, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (text) => {
      output += String(text);
    });
    child.on('exit', (code) => {
      if (code === 0) resolve(performance.now() - started);
      else setImmediate(() => reject(new Error(`${plugin.name} ${command} ${id}: ${output}`)));
    });
    child.stdin.end(plugin.config);
  });
}

const made = new Set<string>();
function sandbox(id: string): string {
  execFileSync('ip', ['netns', 'add', id]);
  made.add(id);
  return id;
}

async function serial(): Promise<void> {
  const add = { ours: [] as number[], peer: [] as number[] };
  const del = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    const order = round % 2 === 0 ? [OURS, PEER] : [PEER, OURS];
    for (const plugin of order) {
      const id = sandbox(`ckt-bench-${process.pid}-${plugin.name}${round}`);
      const added = await call(plugin, 'ADD', id);
      const deleted = await call(plugin, 'DEL', id);
      if (round < WARM_UP) continue;
      add[plugin.name as 'ours'].push(added);
      del[plugin.name as 'ours'].push(deleted);
    }
  }
  console.log(figure('cni-add-serial', median(add.ours), median(add.peer), 'ms', 1));
  console.log(figure('cni-del-serial', median(del.ours), median(del.peer), 'ms', 1));
}

async function parallel(): Promise<void> {
  const wall = { ours: [] as number[], peer: [] as number[] };
  for (let batch = 0; batch < BATCHES + 1; batch++) {
    const order = batch % 2 === 0 ? [OURS, PEER] : [PEER, OURS];
    for (const plugin of order) {
      const ids = Array.from({ length: PARALLEL * 2 }, (_, i) =>
        sandbox(`ckt-bench-${process.pid}-${plugin.name}p${batch}x${i}`),
      );
      const started = performance.now();
      const queue = [...ids];
      await Promise.all(
        Array.from({ length: PARALLEL }, async () => {
          for (let id = queue.shift(); id; id = queue.shift()) await call(plugin, 'ADD', id);
        }),
      );
      const perAdd = (performance.now() - started) / ids.length;
      for (const id of ids) await call(plugin, 'DEL', id);
      if (batch > 0) wall[plugin.name as 'ours'].push(perAdd);
    }
  }
  console.log(figure('cni-add-parallel-8', median(wall.ours), median(wall.peer), 'ms', 1));
}

try {
  await serial();
  await parallel();
} finally {
  for (const id of made) execFileSync('ip', ['netns', 'delete', id]);
  rmSync(state, { recursive: true, force: true });
}
