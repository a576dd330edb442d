// IP sets through kept-open `ipset restore`. It says nothing when it is done, but `list` is allowed
// inside it and prints: listing a small set of our own after COMMIT is the acknowledgement. (Listing
// all names would do too, but takes 8 ms with 1,000 sets.)
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';
import { inNamespace, RestoreChild } from '../restore-child.io.ts';
import type { IpSets } from '../tables.ts';
import { parseIpSets, printIpSetChange } from './save.ts';

const execute = promisify(execFile);
const SAVE_BYTES_MAX = 256 << 20;
/** Outside the `cali40` and `cali60` names that belong to policy; shared by all of us. */
const ACK_SET = 'calico-kit-ack';
/** A socket buffer's worth at a time keeps the child's answers near. */
const LINES_MAX = 10_000;

export async function openIpSets(options: { readonly netnsPath?: string } = {}): Promise<IpSets> {
  const inside = inNamespace(options.netnsPath);
  const run = async (...args: string[]): Promise<string> => {
    const [file, ...rest] = [...inside, 'ipset', ...args];
    try {
      return (await execute(file!, rest, { maxBuffer: SAVE_BYTES_MAX })).stdout;
    } catch (cause) {
      throw new OpError(`ipset ${args[0]}`, cause);
    }
  };
  const child = new RestoreChild({
    argv: [...inside, 'stdbuf', '-oL', 'ipset', 'restore'],
    // By a command of its own: inside restore, -exist would hold for all lines that follow.
    prepare: async () => {
      await run('create', ACK_SET, 'hash:ip', 'maxelem', '1', '-exist');
    },
    ack: () => [`list -n ${ACK_SET}`],
    acknowledges: (line) => line === ACK_SET,
  });
  return {
    read: async (prefix) =>
      parseIpSets(await run('save')).filter(({ name }) => name.startsWith(prefix)),
    commit: async (changes) => {
      for (let at = 0; at < changes.length; at += LINES_MAX) {
        const lines = changes.slice(at, at + LINES_MAX).map(printIpSetChange);
        await child.commit('ipset', [...lines, 'COMMIT']);
      }
    },
    close: async () => {
      await child.close();
      await run('destroy', ACK_SET).catch(() => {}); // never made, or gone already
    },
  };
}
