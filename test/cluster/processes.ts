// Long-running processes of a cluster, recorded by pid and start time, so that a later `down` ends
// exactly those and never a stranger that got the same pid.
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Field 22 of /proc/<pid>/stat: ticks since boot; undefined when the process is gone. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

export class Processes {
  private readonly logs: string;
  private readonly pids: string;

  constructor(run: string) {
    this.logs = join(run, 'log');
    this.pids = join(run, 'pid');
  }

  /** Starts a process that outlives us; its output goes to a log of its name. */
  start(name: string, argv: readonly string[], env: NodeJS.ProcessEnv = process.env): number {
    mkdirSync(this.logs, { recursive: true });
    mkdirSync(this.pids, { recursive: true });
    const log = openSync(join(this.logs, `${name}.log`), 'a');
    const child = spawn(argv[0]!, argv.slice(1), {
      detached: true,
      stdio: ['ignore', log, log],
      env,
    });
    child.on('error', () => {}); // the log and the missing service tell
    child.unref();
    if (child.pid === undefined) throw new Error(`${name} did not start: ${argv.join(' ')}`);
    writeFileSync(join(this.pids, name), `${child.pid} ${startTimeOf(child.pid) ?? ''}`);
    return child.pid;
  }

  /** The pid, when the recorded process still runs. */
  pidOf(name: string): number | undefined {
    const file = join(this.pids, name);
    if (!existsSync(file)) return undefined;
    const [pid, started] = readFileSync(file, 'utf8').split(' ');
    return startTimeOf(Number(pid)) === started ? Number(pid) : undefined;
  }

  names(): readonly string[] {
    return existsSync(this.pids) ? readdirSync(this.pids) : [];
  }

  log(name: string): string {
    const file = join(this.logs, `${name}.log`);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Ends processes: TERM, then KILL after the grace. Answers when they are gone. */
  async end(names: readonly string[], graceMilliseconds = 3000): Promise<void> {
    for (const name of names) signal(this.pidOf(name), 'SIGTERM');
    const end = performance.now() + graceMilliseconds;
    while (names.some((name) => this.pidOf(name) !== undefined)) {
      if (performance.now() > end) for (const name of names) signal(this.pidOf(name), 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const name of names) rmSync(join(this.pids, name), { force: true });
  }
}

function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, name);
  } catch {
    // gone between the look and the signal
  }
}
