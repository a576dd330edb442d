// The floor of a cold start: bare restore commands that write, on an empty kernel, what the agent wrote.
import { run } from '../../lab/command.ts';

const TABLES = ['filter', 'nat', 'raw', 'mangle'];
/** The kernel lets go of a set some time after the last rule that named it. */
const DESTROY_TRIES = 50;

/** Removes every rule and set of this namespace. */
export function emptyKernel(): void {
  for (const family of ['iptables', 'ip6tables'])
    for (const table of TABLES) run([`${family}-nft-restore`], `*${table}\nCOMMIT\n`);
  for (let tries = 0; ; tries++) {
    try {
      run(['ipset', 'destroy']);
      return;
    } catch (cause) {
      if (tries === DESTROY_TRIES) throw cause;
      run(['sleep', '0.1']);
    }
  }
}

/** Milliseconds; the kernel holds the same afterwards. */
export function restoreFloor(): number {
  const sets = run(['ipset', 'save']);
  const rules = ['iptables', 'ip6tables'].map((family) => ({
    family,
    text: run([`${family}-nft-save`]),
  }));
  emptyKernel();
  const began = performance.now();
  run(['ipset', 'restore'], sets);
  for (const { family, text } of rules) run([`${family}-nft-restore`], text);
  return performance.now() - began;
}

export const residentRules = (): number =>
  run(['iptables-nft-save', '-t', 'filter'])
    .split('\n')
    .filter((text) => text.startsWith('-A')).length;
