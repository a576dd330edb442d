// The load of the CNI bench: rounds of ADD and DEL for fresh namespaces, ours and the peer's in turn.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { figure, median, quantile } from '../figures.ts';
import type { Figures, Spawner } from './spawner.ts';

export const NETWORK = 'k8s-pod-network';
const PODS = 100;
/** An agent runs for months: its code is compiled before the first figure. Cold ones are told besides. */
const WARM_UP = { ours: 600, peer: 100 };
const COLD = 10;
const TIDY_MILLISECONDS = 2_000;
const PARALLEL = [8, 16];
const BATCHES = 6;
const BATCH_PODS = 48;

export interface Load {
  /** Where etcd keeps its data: part of the figures' names. */
  readonly series: string;
  readonly spawner: Spawner;
  /** Our processes besides the plugin; their children count too. */
  readonly processes: readonly number[];
  readonly ours: string;
  readonly socket: string;
  readonly peerFolder: string;
  /** Where host-local keeps its files. */
  readonly state: string;
}

interface Side {
  readonly name: 'ours' | 'peer';
  readonly file: string;
  readonly config: string;
}

/** Prints one line a figure. */
export async function measure(load: Load): Promise<void> {
  const bench = new Bench(load);
  try {
    await bench.floor();
    await bench.serial();
    for (const parallel of PARALLEL) await bench.parallel(parallel);
  } finally {
    bench.removeNamespaces();
  }
}

class Bench {
  private readonly load: Load;
  private readonly sides: readonly Side[];
  private readonly made = new Set<string>();
  private count = 0;

  constructor(load: Load) {
    this.load = load;
    const ours = { cniVersion: '1.0.0', name: NETWORK, type: 'calico' };
    const peer = { cniVersion: '1.0.0', name: 'bench', type: 'ptp' };
    const ipam = { type: 'host-local', subnet: '10.77.0.0/16', dataDir: load.state };
    const routes = [{ dst: '0.0.0.0/0' }];
    this.sides = [
      {
        name: 'ours',
        file: load.ours,
        config: JSON.stringify({ ...ours, ipam: { type: 'calico-ipam' } }),
      },
      {
        name: 'peer',
        file: `${load.peerFolder}/ptp`,
        config: JSON.stringify({ ...peer, ipam: { ...ipam, routes } }),
      },
    ];
  }

  /** What the harness itself costs: an exec of /bin/true. */
  async floor(): Promise<void> {
    const calls = Array.from({ length: PODS }, () => ({}));
    const { times, cpu } = await this.load.spawner.run({
      file: '/bin/true',
      config: '',
      parallel: 1,
      calls,
    });
    const milliseconds = median(times).toFixed(2);
    console.log(
      `harness: exec of /bin/true ${milliseconds}ms, ${(cpu / PODS).toFixed(2)}ms of CPU`,
    );
  }

  async serial(): Promise<void> {
    const add = { ours: [] as number[], peer: [] as number[] };
    const del = { ours: [] as number[], peer: [] as number[] };
    const cold = { ours: [] as number[], peer: [] as number[] };
    const cpu = { ours: 0, peer: 0 };
    const warmUps = Math.max(...Object.values(WARM_UP));
    for (let round = 0; round < PODS + warmUps; round++) {
      if (round === warmUps) await this.tidyUp();
      for (const side of round % 2 === 0 ? this.sides : this.sides.toReversed()) {
        if (round < warmUps && round >= WARM_UP[side.name]) continue;
        const [id] = this.sandboxes(1);
        const before = this.agentCpu();
        const added = await this.call(side, 'ADD', [id!], 1);
        const deleted = await this.call(side, 'DEL', [id!], 1);
        if (round < COLD) cold[side.name].push(...added.times);
        if (round < warmUps) continue;
        add[side.name].push(...added.times);
        del[side.name].push(...deleted.times);
        cpu[side.name] += added.cpu + deleted.cpu;
        if (side.name === 'ours') cpu.ours += this.agentCpu() - before;
      }
    }
    this.print('add-serial-first-10', median(cold.ours), median(cold.peer), 1);
    this.print('add-serial', median(add.ours), median(add.peer), 0.6);
    this.print('del-serial', median(del.ours), median(del.peer), 0.3);
    this.print('cpu-per-pod', cpu.ours / PODS, cpu.peer / PODS, 0.5);
  }

  async parallel(parallel: number): Promise<void> {
    const wall = { ours: [] as number[], peer: [] as number[] };
    const times = { ours: [] as number[], peer: [] as number[] };
    for (let batch = 0; batch <= BATCHES; batch++) {
      for (const side of batch % 2 === 0 ? this.sides : this.sides.toReversed()) {
        const ids = this.sandboxes(BATCH_PODS);
        const figures = await this.call(side, 'ADD', ids, parallel);
        await this.call(side, 'DEL', ids, parallel);
        if (batch === 0) continue;
        wall[side.name].push(figures.wall / BATCH_PODS);
        times[side.name].push(...figures.times);
      }
    }
    this.print(`add-parallel-${parallel}`, median(wall.ours), median(wall.peer), 0.5);
    const p99 = { ours: quantile(times.ours, 0.99), peer: quantile(times.peer, 0.99) };
    this.print(`add-parallel-${parallel}-p99`, p99.ours, p99.peer, 1);
  }

  private print(name: string, ours: number, peer: number, goal: number): void {
    console.log(figure(`cni-${this.load.series}-${name}`, ours, peer, 'ms', goal));
  }

  private call(
    side: Side,
    command: string,
    ids: readonly string[],
    parallel: number,
  ): Promise<Figures> {
    const calls = ids.map((id) => ({
      PATH: process.env['PATH'] ?? '',
      CALICO_CNI_SOCKET: this.load.socket,
      CNI_COMMAND: command,
      CNI_CONTAINERID: createHash('sha256').update(id).digest('hex'),
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${id}`,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: this.load.peerFolder,
    }));
    return this.load.spawner.run({ file: side.file, config: side.config, parallel, calls });
  }

  private sandboxes(count: number): readonly string[] {
    return Array.from({ length: count }, () => {
      const name = `ckt-bench-${process.pid}-${this.count++}`;
      execFileSync('ip', ['netns', 'add', name]);
      this.made.add(name);
      return name;
    });
  }

  // The kernel takes namespaces down in its own time: that shall not be in the figures.
  private async tidyUp(): Promise<void> {
    this.removeNamespaces();
    await setTimeout(TIDY_MILLISECONDS);
  }

  removeNamespaces(): void {
    for (const name of this.made) execFileSync('ip', ['netns', 'delete', name]);
    this.made.clear();
  }

  /** Milliseconds of CPU of our processes and their living children. */
  private agentCpu(): number {
    const all = this.load.processes.flatMap((pid) => [pid, ...childrenOf(pid)]);
    return all.map(cpuOf).reduce((sum, milliseconds) => sum + milliseconds, 0);
  }
}

const TICK_MILLISECONDS = 10;

/** Of the process and of its children that have ended. */
function cpuOf(pid: number): number {
  const [, after = ''] = read(`/proc/${pid}/stat`).split(') ');
  const times = after.split(' ').slice(11, 15).map(Number);
  return times.reduce((sum, ticks) => sum + ticks, 0) * TICK_MILLISECONDS;
}

function childrenOf(pid: number): readonly number[] {
  const folder = `/proc/${pid}/task`;
  const tasks = existsSync(folder) ? readdirSync(folder) : [];
  const lists = tasks.map((task) => read(`/proc/${pid}/task/${task}/children`));
  const children = lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  return children.flatMap((child) => [child, ...childrenOf(child)]);
}

// A child may end between being listed and being looked at: then its parent tells its time.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
