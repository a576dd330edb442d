// Commands of the cluster rig: asynchronous, captured, failing with what they said.
import { spawn } from 'node:child_process';

/** Runs to the end; answers stdout, throws with stderr. */
export function command(argv: readonly string[], input?: string): Promise<string> {
  const [file, ...args] = argv as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => {
      stdout += String(text);
    });
    child.stderr.on('data', (text) => {
      stderr += String(text);
    });
    child.stdin.on('error', () => {}); // the exit code tells
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${argv.join(' ')}: ${(stderr || stdout).trim() || `exit ${code}`}`));
    });
    child.stdin.end(input);
  });
}

/** Like command, but a failure is an answer. */
export async function tryCommand(
  argv: readonly string[],
  input?: string,
): Promise<{ ok: boolean; output: string }> {
  try {
    return { ok: true, output: await command(argv, input) };
  } catch (cause) {
    return { ok: false, output: cause instanceof Error ? cause.message : String(cause) };
  }
}

type Truthy<T> = Exclude<T, false | '' | 0 | null | undefined>;

/** Asks again every 100 ms until `holds` answers something true; throws with `what` and the last failure. */
export async function until<T>(
  what: string,
  seconds: number,
  holds: () => Promise<T>,
): Promise<Truthy<T>> {
  const end = performance.now() + seconds * 1000;
  for (let last = ''; ; ) {
    try {
      const value = await holds();
      if (value) return value as Truthy<T>;
    } catch (cause) {
      last = `: ${cause instanceof Error ? cause.message : String(cause)}`;
    }
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}${last}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
