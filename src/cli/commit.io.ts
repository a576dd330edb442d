// The commit that this program was made of.
import { execFileSync } from 'node:child_process';

/** A bundle has it written in; from the sources git is asked; else `unknown`. */
export function commit(): string {
  const built = process.env['CALICO_KIT_COMMIT'];
  if (built) return built;
  try {
    const argv = ['-C', import.meta.dirname, 'rev-parse', '--short=12', 'HEAD'];
    return execFileSync('git', argv, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
