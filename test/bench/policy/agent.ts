// The agent under measurement: bundled as it is shipped, with the event-loop probe before it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundle, installKoffi } from '../../../images/bundle.ts';
import { AGENT_FLAGS, AGENT_MEMORY } from '../../../src/deploy/constructs/calico-node.ts';
import { eventually } from '../../lab/command.ts';
import { NODE } from './stored.ts';

const READY_MILLISECONDS_MAX = 180_000;
const TICKS_PER_SECOND = 100;
/** A file for the turns of the event loop that take long (see loop-probe.ts). */
const SLICES = process.env['LOOP_PROBE_SLICES'];

/** The most that an event loop was held up, in milliseconds. */
export interface HeldUp {
  /** By the clock. */
  readonly delay: number;
  /** The same without the time for which others had the processors. */
  readonly own: number;
  /** Processor time of one turn alone. */
  readonly ran: number;
}

export class BenchAgent {
  readonly child: ChildProcess;
  private readonly folder: string;
  private readonly probeFile: string;
  private readonly log: string[] = [];

  constructor(program: string, etcdEndpoint: string, { probeFromStart = false } = {}) {
    this.folder = mkdtempSync(join(tmpdir(), 'ckt-pol-'));
    this.probeFile = join(this.folder, 'loop');
    for (const sub of ['lib', 'run']) mkdirSync(join(this.folder, sub));
    const script = `mkdir -p /var/lib/calico /run/calico && mount --bind ${this.folder}/lib /var/lib/calico
      mount --bind ${this.folder}/run /run/calico && exec "$@"`;
    const inside = ['--mount', '--propagation', 'slave', 'sh', '-ec', script, 'sh'];
    const profile = process.env['PROFILE']
      ? ['--cpu-prof', `--cpu-prof-dir=${process.env['PROFILE']}`]
      : [];
    const probe = join(dirname(program), PROBE);
    const argv = [process.execPath, ...AGENT_FLAGS, ...profile, '--import', probe, program];
    this.child = spawn('unshare', [...inside, ...argv], {
      stdio: ['ignore', 'inherit', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        [AGENT_MEMORY.name]: AGENT_MEMORY.value,
        NODENAME: NODE,
        ETCD_ENDPOINTS: etcdEndpoint,
        IP: '10.201.0.1/24',
        CALICO_IPV4POOL_CIDR: '10.0.0.0/8',
        CALICO_IPV4POOL_IPIP: 'Never',
        CALICO_CNI_SOCKET: '/run/calico/cni.sock',
        LOOP_PROBE_FILE: this.probeFile,
        ...(probeFromStart ? { LOOP_PROBE_FROM_START: '1' } : {}),
        ...(SLICES === undefined ? {} : { LOOP_PROBE_SLICES: SLICES }),
      },
    });
    const lines = createInterface({ input: this.child.stderr! });
    lines.on('line', (line) => {
      if (process.env['CKT_VERBOSE']) console.error(line);
      this.log.push(line);
    });
    this.logLines = lines;
  }

  private readonly logLines: ReturnType<typeof createInterface>;

  get pid(): number {
    return this.child.pid!;
  }

  /** Resolves with the moment at which it says so. */
  async ready(): Promise<number> {
    const says = (line: string): boolean => line.includes('the agent is ready');
    if (this.log.some(says)) return performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    // A listener, not a wait for one line after the other: several come in one piece.
    const listen = (line: string): void => {
      if (says(line)) resolve(performance.now());
    };
    const late = (): void =>
      reject(new Error(`the agent is not ready\n${this.log.slice(0, 20).join('\n')}`));
    const timer = setTimeout(late, READY_MILLISECONDS_MAX);
    this.logLines.on('line', listen);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.logLines.off('line', listen);
    }
  }

  /** Problems that it has told of. */
  get complaints(): readonly string[] {
    return this.log.filter((line) => /"level":"?(warn|error|40|50|60)/.test(line));
  }

  /** Does the work while the agent stands still: it would repair at once what others do. */
  paused<T>(work: () => T): T {
    process.kill(this.pid, 'SIGSTOP');
    try {
      return work();
    } finally {
      process.kill(this.pid, 'SIGCONT');
    }
  }

  beginProbe(): void {
    process.kill(this.pid, 'SIGUSR2');
  }

  /** How long its event loop was held up since then. */
  async endProbe(): Promise<HeldUp> {
    const count = (): number => this.told().length;
    const before = count();
    process.kill(this.pid, 'SIGUSR2');
    await eventually('the probe has written', () => count() > before);
    const [delay, own, ran] = this.told().at(-1)!.split(' ').map(Number);
    return { delay: delay!, own: own!, ran: ran! };
  }

  private told(): readonly string[] {
    if (!existsSync(this.probeFile)) return [];
    return readFileSync(this.probeFile, 'utf8').split('\n').filter(Boolean);
  }

  /** MiB: now, and the most there ever was. */
  memory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const of = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
    return { now: of('VmRSS'), peak: of('VmHWM') };
  }

  /** Seconds of processor time, with those of children that have ended. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, text) => sum + Number(text), 0);
    return ticks / TICKS_PER_SECOND;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const PROBE = 'loop-probe.mjs';

/** The program as it is shipped, in a folder; and the probe without types, whose reader is large. */
export async function buildAgent(folder: string): Promise<string> {
  const probe = readFileSync(join(import.meta.dirname, 'loop-probe.ts'), 'utf8');
  writeFileSync(join(folder, PROBE), stripTypeScriptTypes(probe));
  const [program] = await bundle('agent', folder);
  installKoffi(folder);
  return program!;
}
