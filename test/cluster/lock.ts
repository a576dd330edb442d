// A lock between processes, freed by the kernel when its holder ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Runs `work` while no other process holds the file's lock. */
export async function locked<T>(file: string, work: () => Promise<T>): Promise<T> {
  // flock holds the lock as long as cat runs, and cat as long as our end of its stdin is open.
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(holder, 'close');
  await Promise.race([once(holder.stdout, 'data'), ended]);
  if (holder.exitCode !== null) throw new Error(`flock ${file} failed`);
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
