// One measurement: two namespaces joined by a veth pair, the device under test in one, pinned to a
// processor of its own, and the feeders in the other. Everything ends with it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { attempt, run } from '../../lab/command.ts';
import { DELAYS_FILE, type DeviceDelays } from './delays.ts';
import type { Device, DevicePlan } from './devices.ts';
import type { FeederAnswer } from './feeder.ts';

/** What a measurement found. */
export interface Outcome {
  readonly establishedMs: number;
  /** From the first UPDATE until the last peer knew all. */
  readonly completeMs: number;
  /** The same for the first of the rounds, when the device had never done it before. */
  readonly firstMs: number;
  readonly rssMib: number;
  /** Processor time of the device from the first UPDATE on. */
  readonly cpuMs: number;
  /** Sessions that ended. */
  readonly lost: readonly string[];
  readonly tables: readonly (readonly [number, number])[];
  /** The longest time in milliseconds for which any peer heard nothing. */
  readonly silenceMs: number;
  /** How long ours kept its own timers waiting; undefined: nobody watched. */
  readonly delays: DeviceDelays | undefined;
}

export interface MeasureOptions {
  /** For all that the device has to do together. */
  readonly limitMs: number;
  /** All is announced and withdrawn so often before it counts. */
  readonly warmUps: number;
  /** How long the sessions must last afterwards. */
  readonly lingerMs: number;
  /** Ours: its delays are watched, which takes time of its own. */
  readonly watched?: true;
}

/** For the feeders to say what they know. */
const LAST_WORDS_MS = 30_000;

/** The device was not done within the limit. */
export class Late extends Error {
  readonly ms: number;

  constructor(what: string, ms: number) {
    super(`${what} within ${Math.round(ms)} ms`);
    this.ms = ms;
  }
}

let courses = 0;

export async function measure(
  device: Device,
  plan: DevicePlan,
  options: MeasureOptions,
): Promise<Outcome> {
  courses += 1;
  const { watched = false } = options;
  const prefix = `ckb-${process.pid}-${courses}`;
  const [here, there] = [`${prefix}d`, `${prefix}f`];
  const folder = mkdtempSync(join(tmpdir(), 'ckb-bgp-'));
  const children: ChildProcess[] = [];
  try {
    join2(here, there, plan);
    const command = ['taskset', '-c', '0', ...device.argv(plan, folder, watched)];
    const dut = start(here, command, 'ignore');
    children.push(dut);
    const script = join(import.meta.dirname, 'feeder.ts');
    const feeder = start(
      there,
      ['taskset', '-c', '1', process.execPath, script, json(plan)],
      'pipe',
    );
    children.push(feeder);
    const more = { ...options, deaf: plan.peers.some(({ deaf }) => deaf) };
    const outcome = await drive(dut, new Answers(feeder), feeder, more);
    if (!watched) return outcome;
    dut.kill('SIGTERM');
    await once(dut, 'exit');
    const text = readFileSync(join(folder, DELAYS_FILE), 'utf8');
    return { ...outcome, delays: JSON.parse(text) as DeviceDelays };
  } finally {
    for (const child of children) await end(child);
    for (const netns of [here, there]) attempt(['ip', 'netns', 'del', netns]);
    rmSync(folder, { recursive: true, force: true });
  }
}

const json = ({ reflector: _, ...plan }: DevicePlan): string => JSON.stringify(plan);

async function drive(
  dut: ChildProcess,
  answers: Answers,
  feeder: ChildProcess,
  { limitMs, warmUps, lingerMs, deaf }: MeasureOptions & { readonly deaf: boolean },
): Promise<Outcome> {
  const began = performance.now();
  const left = (): number => limitMs - (performance.now() - began);
  await answers.next('established', left());
  const establishedMs = performance.now() - began;
  const round = async (command: 'go' | 'withdraw' | 'hear'): Promise<number> => {
    feeder.stdin!.write(`${command}\n`);
    return (await answers.next('complete', left())).milliseconds;
  };
  const before: number[] = [];
  for (let i = 0; i < warmUps; i++) {
    before.push(await round('go'));
    await round('withdraw');
  }
  const cpuBefore = cpuOf(dut.pid!);
  const completeMs = await round('go');
  const cpuMs = cpuOf(dut.pid!) - cpuBefore;
  if (deaf) await round('hear');
  await new Promise((resolve) => setTimeout(resolve, lingerMs));
  const rssMib = rssOf(dut.pid!);
  feeder.stdin!.write('tables\n');
  const { tables, silences } = await answers.next('tables', LAST_WORDS_MS);
  const silenceMs = Math.max(...silences);
  // A copy: all sessions are lost when the device is ended.
  const lost = [...answers.lost];
  const firstMs = before[0] ?? completeMs;
  const figures = { establishedMs, completeMs, firstMs, cpuMs, rssMib };
  return { ...figures, lost, tables, silenceMs, delays: undefined };
}

function join2(here: string, there: string, { device, peers }: DevicePlan): void {
  for (const netns of [here, there]) {
    run(['ip', 'netns', 'add', netns]);
    run(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
  }
  const peer = ['peer', 'name', 'eth0', 'netns', there];
  run(['ip', '-n', here, 'link', 'add', 'eth0', 'type', 'veth', ...peer]);
  const batch = (netns: string, lines: readonly string[]): string =>
    run(['ip', '-n', netns, '-batch', '-'], `${lines.join('\n')}\n`);
  const addresses = peers.map(({ address }) => address);
  // A kernel has room for 1,024 neighbours by default, in all its namespaces: many stand behind one.
  const [dev, bits] = peers.length > 500 ? ['lo', 32] : ['eth0', 16];
  batch(here, [`addr add ${device}/${bits} dev ${dev}`, 'link set eth0 up']);
  batch(there, [...addresses.map((a) => `addr add ${a}/${bits} dev ${dev}`), 'link set eth0 up']);
  if (dev === 'lo')
    for (const [netns, own, other] of [
      [here, '10.98.0.1', '10.98.0.2'],
      [there, '10.98.0.2', '10.98.0.1'],
    ] as const)
      batch(netns, [`addr add ${own}/30 dev eth0`, `route add 10.99.0.0/16 via ${other}`]);
  // So that the kernel takes little for who does not read.
  if (peers.some(({ deaf }) => deaf))
    for (const netns of [here, there])
      for (const name of ['rmem', 'wmem'])
        run([
          'ip',
          'netns',
          'exec',
          netns,
          'sysctl',
          '-qw',
          `net.ipv4.tcp_${name}=4096 65536 65536`,
        ]);
}

// `ip netns exec` and taskset become the program, so that the child's pid is the program's own.
function start(netns: string, argv: readonly string[], input: 'ignore' | 'pipe'): ChildProcess {
  const quiet = process.env['CKT_VERBOSE'] ? 'inherit' : 'ignore';
  const output = input === 'pipe' ? 'pipe' : quiet;
  return spawn('ip', ['netns', 'exec', netns, ...argv], { stdio: [input, output, 'inherit'] });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** The feeder's answers in order. */
class Answers {
  readonly lost: string[] = [];
  private readonly waiting: FeederAnswer[] = [];
  private wake: () => void = () => undefined;

  constructor(feeder: ChildProcess) {
    createInterface({ input: feeder.stdout! }).on('line', (line) => {
      const answer = JSON.parse(line) as FeederAnswer;
      if (answer.kind === 'lost') this.lost.push(`${answer.peer}: ${answer.why}`);
      else this.waiting.push(answer);
      this.wake();
    });
  }

  async next<K extends FeederAnswer['kind']>(
    kind: K,
    limitMs: number,
  ): Promise<Extract<FeederAnswer, { kind: K }>> {
    const until = performance.now() + limitMs;
    for (;;) {
      const answer = this.waiting.shift();
      if (answer?.kind === kind) return answer as Extract<FeederAnswer, { kind: K }>;
      const left = until - performance.now();
      if (left <= 0) {
        const lost = this.lost.length > 0 ? `; lost: ${this.lost.slice(0, 3).join(', ')}` : '';
        throw new Late(`no '${kind}'${lost}`, limitMs);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

const status = (pid: number): string => readFileSync(`/proc/${pid}/status`, 'utf8');
const rssOf = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(status(pid))![1]) / 1024;

const TICK_MS = 10;

function cpuOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
