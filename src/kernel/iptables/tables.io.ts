// Packet filter tables through kept-open iptables-restore. With -v a comment line is echoed on
// stdout once the lines before it are done; stdbuf flushes it: that is the acknowledgement.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf, OpError } from '../../base/op-error.ts';
import type { Family } from '../../net/ip.ts';
import { inNetnsAt } from '../namespaces.io.ts';
import { openForwards } from '../nftables/forwards.io.ts';
import { inNamespace, RestoreChild } from '../restore-child.io.ts';
import type { Tables } from '../tables.ts';
import { parseCounts } from './counts.ts';
import { ForeignGeneration, ownCommits, RuleGeneration } from './generation.io.ts';
import { legacyGeneration } from './legacy-generation.io.ts';
import { type Backend, chooseBackend, parseSave, parseTables } from './save.ts';

const execute = promisify(execFile);
/** Each line is looked up among the chains of all before it (nft-cache.c, cache_chain_list_insert). */
const NFT_LINES_MAX = 4000;
const SAVE_BYTES_MAX = 256 << 20;

type AllOf = NonNullable<Tables['readAll']>;

export interface TablesOptions {
  readonly netnsPath?: string;
  /** Absent: the one that kubelet and we use already (chooseBackend). */
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
      if (/^.*Table .*does not exist/m.test(messageOf(cause))) return '';
      throw new OpError(program(backend, 'save'), cause);
    }
  };
  const backend = options.backend ?? (await detectBackend(save));
  const child = new RestoreChild({
    argv: [...inside, 'stdbuf', '-oL', program(backend, 'restore'), '--noflush', '-v', '-w'],
    ack: (id) => [`# ack ${id}`],
    acknowledges: (line, id) => line === `# ack ${id}`,
  });
  const own = ownCommits(netnsPath);
  const within = <T>(work: () => T): T =>
    netnsPath === undefined ? work() : inNetnsAt(netnsPath, work);
  const nft =
    backend === 'nft' ? new ForeignGeneration(new RuleGeneration(within), own) : undefined;
  const legacy = backend === 'legacy' ? legacyGeneration(netnsPath, family, within) : undefined;
  return {
    ...(backend === 'nft'
      ? { linesMax: NFT_LINES_MAX, forwards: () => openForwards(family, netnsPath) }
      : {}),
    generation: () => (nft ?? legacy?.generation)?.now(),
    read: async (table) => parseSave(await save(backend, '-t', table), table),
    readAll: async () => parseTables(await save(backend)) as Awaited<ReturnType<AllOf>>,
    counts: async (table) => parseCounts(await save(backend, '-c', '-t', table), table),
    commit: ({ table, lines }) => {
      const commit = () => child.commit(`iptables ${table}`, [`*${table}`, ...lines, 'COMMIT']);
      return legacy ? legacy.generation.counted(table, commit) : own.counted(commit());
    },
    close: async () => {
      nft?.close();
      legacy?.release();
      await child.close();
    },
  };
}

// A backend that is not there, or not in the kernel, holds nothing.
async function detectBackend(save: (backend: Backend) => Promise<string>): Promise<Backend> {
  const text = (backend: Backend): Promise<string> => save(backend).catch(() => '');
  return chooseBackend(await text('nft'), await text('legacy'));
}
