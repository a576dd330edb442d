// etcd itself, for as long as a step needs it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

/** What a flag of the command says, such as `--data-dir`. Throws where it is absent. */
export function flagOf(command: readonly string[], flag: string): string {
  const given = command.find((word) => word.startsWith(`${flag}=`));
  if (given === undefined) throw new Error(`the command of etcd has no ${flag}=`);
  return given.slice(flag.length + 1);
}

/**
 * Runs etcd until `work` is done or all is to stop, then ends it in good order. Throws when etcd ends
 * by itself.
 */
export async function whileRunning(
  command: readonly string[],
  stopAll: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const [file, ...args] = command as [string, ...string[]];
  // etcd takes such variables for flags, and refuses those that are flags too.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('ETCD_')),
  );
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'], env });
  const stop = new AbortController();
  try {
    await Promise.race([
      work(AbortSignal.any([stop.signal, stopAll])),
      once(child, 'exit').then(([code, signal]) => {
        throw new Error(`etcd ended by itself (${signal ?? `code ${code}`})`);
      }),
    ]);
  } finally {
    stop.abort();
    await ended(child);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** Runs a command to its end. Throws with what it said. */
export async function runToEnd(command: readonly string[]): Promise<void> {
  const [file, ...args] = command as [string, ...string[]];
  await promisify(execFile)(file, args);
}
