// Long-running processes of a cluster, recorded by pid and start time, so that a later `down` ends
// exactly those and never a stranger that got the same pid.
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { until } from '../command.ts';

/** Field 22 of /proc/<pid>/stat: ticks since boot; undefined when the process has ended. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

interface Identity {
  readonly pid: number;
  readonly started: string;
}

const runs = ({ pid, started }: Identity): boolean => startTimeOf(pid) === started;

const identityOf = (pid: number): readonly Identity[] => {
  const started = startTimeOf(pid);
  return started === undefined ? [] : [{ pid, started }];
};

/** Pids of a process's children; none when it has ended. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

// The process writes its record itself before it becomes the program: were its parent killed at
// that moment, a later `down` would find it all the same.
const RECORD_AND_BECOME = `echo "$$ $(cut -d ' ' -f 22 /proc/$$/stat)" >"$0" && exec "$@"`;

const END_SECONDS = 10;

export class Processes {
  private readonly logs: string;
  private readonly pids: string;

  constructor(run: string) {
    this.logs = join(run, 'log');
    this.pids = join(run, 'pid');
  }

  /** Starts a process that outlives us; its output goes to a log of its name. */
  start(name: string, argv: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
    mkdirSync(this.logs, { recursive: true });
    mkdirSync(this.pids, { recursive: true });
    const log = openSync(join(this.logs, `${name}.log`), 'a');
    const record = join(this.pids, name);
    const child = spawn('sh', ['-c', RECORD_AND_BECOME, record, ...argv], {
      detached: true,
      stdio: ['ignore', log, log],
      env,
    });
    closeSync(log);
    child.on('error', () => {}); // the log and the missing service tell
    child.unref();
    const [identity] = child.pid === undefined ? [] : identityOf(child.pid);
    if (!identity) throw new Error(`${name} did not start: ${argv.join(' ')}`);
    writeFileSync(record, `${identity.pid} ${identity.started}\n`);
  }

  /** The pid, when the recorded process still runs. */
  pidOf(name: string): number | undefined {
    return this.recorded(name)?.pid;
  }

  names(): readonly string[] {
    return existsSync(this.pids) ? readdirSync(this.pids) : [];
  }

  /** Kills every recorded process; answers when they and their children are gone. */
  async endAll(): Promise<void> {
    const mine = this.names().flatMap((name) => this.recorded(name) ?? []);
    const all = [...mine, ...mine.flatMap(({ pid }) => childrenOf(pid).flatMap(identityOf))];
    for (const identity of mine) kill(identity);
    await until(`${all.length} processes have ended`, END_SECONDS, async () => !all.some(runs));
  }

  private recorded(name: string): Identity | undefined {
    const file = join(this.pids, name);
    if (!existsSync(file)) return undefined;
    const [pid, started] = readFileSync(file, 'utf8').trim().split(' ');
    const identity = { pid: Number(pid), started: started ?? '' };
    return runs(identity) ? identity : undefined;
  }
}

// Nothing of a cluster is worth a graceful end: its state is thrown away.
function kill(identity: Identity): void {
  try {
    if (runs(identity)) process.kill(identity.pid, 'SIGKILL');
  } catch {
    // gone between the look and the signal
  }
}
