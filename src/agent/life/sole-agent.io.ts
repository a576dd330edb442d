// One agent a node: a second one, of an update that overlaps, must take neither the CNI socket nor the
// rules and routes of the first while that lives. The lock goes with its process, killed or not.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Log } from '../../base/log.io.ts';
import { pause } from '../../base/pause.io.ts';
import { FileLock } from '../../kernel/files/file-lock.io.ts';

const RETRY_MILLISECONDS = 200;

/** Resolves once no other agent runs beside this socket, or when the signal fires. */
export async function soleAgent(
  socketPath: string,
  log: Pick<Log, 'warn' | 'info'>,
  signal: AbortSignal,
): Promise<void> {
  const folder = dirname(socketPath);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = new FileLock(join(folder, 'agent.lock'));
  if (lock.take()) return;
  log.warn({ socketPath }, 'another agent runs on this node; waiting for its end');
  do await pause(RETRY_MILLISECONDS, signal);
  while (!signal.aborted && !lock.take());
  log.info('the other agent has ended');
}
