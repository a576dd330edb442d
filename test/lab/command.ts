// Short commands of tests: run, capture, fail with what they said.
import { execFile, execFileSync } from 'node:child_process';

/** Runs and answers stdout; throws with stderr when it fails. */
export function run(argv: readonly string[], input?: string): string {
  const [file, ...args] = argv as [string, ...string[]];
  return execFileSync(file, args, {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
}

/** Like run, but a failure is an answer. */
export function attempt(argv: readonly string[]): {
  readonly ok: boolean;
  readonly output: string;
} {
  try {
    return { ok: true, output: run(argv) };
  } catch (cause) {
    const { stdout, stderr } = cause as { stdout?: string; stderr?: string };
    return { ok: false, output: `${stdout ?? ''}${stderr ?? String(cause)}` };
  }
}

/** Runs without blocking the event loop. */
export function runAsync(argv: readonly string[]): Promise<string> {
  const [file, ...args] = argv as [string, ...string[]];
  return new Promise((resolve, reject) => {
    execFile(file, args, { encoding: 'utf8', maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${argv.join(' ')}: ${stderr || error.message}`));
      else resolve(stdout);
    });
  });
}

/** A machine in software emulation needs so many times longer for everything. */
export const SLOWNESS = Number(process.env['CALICO_KIT_SLOWNESS'] ?? 1);

/** Its slowness was measured once and changes; waiting longer for what comes costs nothing. */
const PATIENCE = SLOWNESS > 1 ? 3 : 1;

/** What would have been so many milliseconds on a machine that is not emulated. */
export const machineMilliseconds = (milliseconds: number): number =>
  Math.round(milliseconds / SLOWNESS);

/** Asks every 20 ms until `holds` answers something true; throws with `what` after the time. */
export async function eventually<T>(
  what: string,
  holds: () => T | Promise<T>,
  milliseconds = 10_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + milliseconds * SLOWNESS * PATIENCE;
  for (let last: unknown; ; ) {
    try {
      const value = await holds();
      if (value) return value;
    } catch (cause) {
      last = cause;
    }
    if (performance.now() > end)
      throw new Error(`not within ${milliseconds} ms: ${what}${last ? ` (${String(last)})` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
