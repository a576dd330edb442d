// 200 BFD sessions of 3 x 150 ms: the processor time that they cost the speaker, and BIRD, in the same run.
// The peers are the same process for both. A figure counts when all came up and none was lost.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ensurePackages } from '../../cluster/packages.ts';
import { attempt, eventually, run } from '../../lab/command.ts';
import { figure, median } from '../figures.ts';
import { INTERVAL_MS, MULTIPLIER, type PeersAnswer, peerAddress } from './sessions.ts';

const SESSIONS = Number(process.env['SESSIONS'] ?? 200);
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 20);
const RUNS = Number(process.env['RUNS'] ?? 3);
const DEVICE = '10.98.0.1';
const SCRIPT = join(import.meta.dirname, 'sessions.ts');
/** Ours through BIRD's. */
const GOAL = 3;

interface Outcome {
  /** Processor time in milliseconds for each second. */
  readonly cpuMs: number;
  readonly rssMib: number;
  readonly lost: number;
}

type Device = 'ours' | 'bird';

function argvOf(device: Device, folder: string): readonly string[] {
  if (device === 'ours') return [process.execPath, SCRIPT, 'device', DEVICE, String(SESSIONS)];
  const config = join(folder, 'bird.conf');
  const neighbours = Array.from(
    { length: SESSIONS },
    (_, i) => `  neighbor ${peerAddress(i)} dev "eth0" local ${DEVICE};`,
  );
  const timers = `min rx interval ${INTERVAL_MS} ms; min tx interval ${INTERVAL_MS} ms; multiplier ${MULTIPLIER};`;
  writeFileSync(
    config,
    `router id ${DEVICE};
protocol device { }
protocol bfd {
  interface "eth0" { ${timers} };
${neighbours.join('\n')}
}
`,
  );
  return ['bird', '-f', '-c', config, '-s', join(folder, 'bird.ctl')];
}

let courses = 0;

async function measure(device: Device): Promise<Outcome> {
  courses += 1;
  const [here, there] = [`ckb-${process.pid}-b${courses}d`, `ckb-${process.pid}-b${courses}p`];
  const folder = mkdtempSync(join(tmpdir(), 'ckb-bfd-'));
  const children: ChildProcess[] = [];
  const start = (netns: string, cpu: number, argv: readonly string[]): ChildProcess => {
    const whole = ['netns', 'exec', netns, 'taskset', '-c', String(cpu), ...argv];
    const child = spawn('ip', whole, { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  try {
    connect(here, there);
    const dut = start(here, 0, argvOf(device, folder));
    dut.stdout!.resume();
    const peers = start(there, 1, [process.execPath, SCRIPT, 'peers', DEVICE, String(SESSIONS)]);
    const ask = asking(peers);
    await eventually(`${SESSIONS} sessions`, async () => (await ask()).up === SESSIONS, 60_000);
    const lostBefore = (await ask()).lost;
    const [cpuBefore, began] = [cpuOf(dut.pid!), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
    const seconds = (performance.now() - began) / 1000;
    const cpuMs = (cpuOf(dut.pid!) - cpuBefore) / seconds;
    const { up, lost } = await ask();
    return { cpuMs, rssMib: rssOf(dut.pid!), lost: lost - lostBefore + SESSIONS - up };
  } finally {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    for (const netns of [here, there]) attempt(['ip', 'netns', 'del', netns]);
    rmSync(folder, { recursive: true, force: true });
  }
}

function asking(peers: ChildProcess): () => Promise<PeersAnswer> {
  const lines = createInterface({ input: peers.stdout! });
  return async () => {
    peers.stdin!.write('\n');
    const [line] = (await once(lines, 'line')) as [string];
    return JSON.parse(line) as PeersAnswer;
  };
}

function connect(here: string, there: string): void {
  for (const netns of [here, there]) {
    run(['ip', 'netns', 'add', netns]);
    run(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
  }
  const peer = ['peer', 'name', 'eth0', 'netns', there];
  run(['ip', '-n', here, 'link', 'add', 'eth0', 'type', 'veth', ...peer]);
  run(['ip', '-n', here, 'addr', 'add', `${DEVICE}/16`, 'dev', 'eth0']);
  for (let i = 0; i < SESSIONS; i++)
    run(['ip', '-n', there, 'addr', 'add', `${peerAddress(i)}/16`, 'dev', 'eth0']);
  for (const netns of [here, there]) run(['ip', '-n', netns, 'link', 'set', 'eth0', 'up']);
}

const TICK_MS = 10;

function cpuOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

const rssOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

ensurePackages(['bird2', 'iproute2']);
const results: Record<Device, Outcome[]> = { ours: [], bird: [] };
for (let round = 0; round < RUNS; round++)
  for (const device of ['ours', 'bird'] as const) {
    const outcome = await measure(device);
    if (outcome.lost > 0) throw new Error(`${device}: ${outcome.lost} of ${SESSIONS} were lost`);
    results[device].push(outcome);
  }
const middle = (device: Device, read: (outcome: Outcome) => number): number =>
  median(results[device].map(read));
for (const device of ['ours', 'bird'] as const)
  console.log(
    `bench bfd-${SESSIONS} ${device}: cpu=${middle(device, (o) => o.cpuMs).toFixed(1)}ms/s rss=${middle(device, (o) => o.rssMib).toFixed(0)}MiB lost=0`,
  );
const cpu = (device: Device): number => middle(device, (o) => o.cpuMs);
console.log(figure(`bfd-${SESSIONS}`, cpu('ours'), cpu('bird'), 'ms/s', GOAL));
