// Commands of the cluster rig: asynchronous, captured, failing with what they said.
import { spawn } from 'node:child_process';

/**
 * Runs to the end; answers stdout, throws with stderr. `prefix` says where it runs and is left out
 * of a failure's text.
 */
export function command(
  argv: readonly string[],
  input?: string,
  prefix: readonly string[] = [],
): Promise<string> {
  const [file, ...args] = [...prefix, ...argv] as [string, ...string[]];
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

export interface Outcome {
  readonly ok: boolean;
  /** stdout, or what the failure said. */
  readonly output: string;
}

/** Makes a failure an answer. */
export async function outcomeOf(running: Promise<string>): Promise<Outcome> {
  try {
    return { ok: true, output: await running };
  } catch (cause) {
    return { ok: false, output: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** Like command, but a failure is an answer. */
export const tryCommand = (argv: readonly string[]): Promise<Outcome> => outcomeOf(command(argv));

type Truthy<T> = Exclude<T, false | '' | 0 | null | undefined>;

/**
 * Asks again, 200 ms after each answer, until `holds` answers something true; throws with `what`
 * and the last failure.
 */
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
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
