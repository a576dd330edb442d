// Packet filter tables through kept-open iptables-restore. With -v a comment line is echoed on
// stdout once the lines before it are done; stdbuf flushes it: that is the acknowledgement.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';
import type { Family } from '../../net/ip.ts';
import { inNamespace, RestoreChild } from '../restore-child.io.ts';
import type { Tables } from '../tables.ts';
import { knownRules, parseSave } from './save.ts';

const execute = promisify(execFile);
const SAVE_BYTES_MAX = 256 << 20;

export type Backend = 'nft' | 'legacy';

export interface TablesOptions {
  readonly netnsPath?: string;
  /** Absent: the one that holds more of Kubernetes' and our rules; nft when in doubt. */
  readonly backend?: Backend;
  readonly family?: Family;
}

export async function openTables(options: TablesOptions = {}): Promise<Tables> {
  const { netnsPath, family = 4 } = options;
  const inside = inNamespace(netnsPath);
  const program = (backend: Backend, verb: string): string =>
    `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-${verb}`;
  const save = async (backend: Backend, ...args: string[]): Promise<string> => {
    const [file, ...rest] = [...inside, program(backend, 'save'), ...args];
    try {
      return (await execute(file!, rest, { maxBuffer: SAVE_BYTES_MAX })).stdout;
    } catch (cause) {
      throw new OpError(program(backend, 'save'), cause);
    }
  };
  const backend = options.backend ?? (await detectBackend(save));
  const child = new RestoreChild({
    argv: [...inside, 'stdbuf', '-oL', program(backend, 'restore'), '--noflush', '-v', '-w'],
    opening: [],
    ack: (id) => [`# ack ${id}`],
    acknowledges: (line, id) => line === `# ack ${id}`,
  });
  return {
    read: async (table) => parseSave(await save(backend, '-t', table), table),
    commit: ({ table, lines }) =>
      child.commit(`iptables ${table}`, [`*${table}`, ...lines, 'COMMIT']),
    close: () => child.close(),
  };
}

// The rule that Felix and kube-proxy's wrapper use: whoever came first has chosen.
async function detectBackend(save: (backend: Backend) => Promise<string>): Promise<Backend> {
  const count = (backend: Backend): Promise<number> => save(backend).then(knownRules, () => 0);
  const [nft, legacy] = await Promise.all([count('nft'), count('legacy')]);
  return legacy > nft ? 'legacy' : 'nft';
}
