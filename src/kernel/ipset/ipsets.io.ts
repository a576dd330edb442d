// IP sets through kept-open `ipset restore`. It says nothing when it is done, but `save` is allowed
// inside it and prints: saving a small set of our own after COMMIT is the acknowledgement.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';
import { inNamespace, RestoreChild } from '../restore-child.io.ts';
import type { IpSets } from '../tables.ts';
import { parseIpSets, printIpSetChange } from './save.ts';

const execute = promisify(execFile);
const SAVE_BYTES_MAX = 256 << 20;
/** Outside the `cali40` and `cali60` names that belong to policy. */
const ACK_SET = `calico-kit-ack-${process.pid}`;
/** A socket buffer's worth at a time keeps the child's answers near. */
const LINES_MAX = 10_000;

export async function openIpSets(options: { readonly netnsPath?: string } = {}): Promise<IpSets> {
  const inside = inNamespace(options.netnsPath);
  const child = new RestoreChild({
    argv: [...inside, 'stdbuf', '-oL', 'ipset', 'restore'],
    // Made each time: whoever removes it (another of us that starts) does no harm.
    ack: () => ['COMMIT', `create ${ACK_SET} hash:ip maxelem 1 -exist`, `save ${ACK_SET}`],
    acknowledges: (line) => line.startsWith(`create ${ACK_SET} `),
  });
  const run = async (args: readonly string[]): Promise<string> => {
    const [file, ...rest] = [...inside, 'ipset', ...args];
    try {
      return (await execute(file!, rest, { maxBuffer: SAVE_BYTES_MAX })).stdout;
    } catch (cause) {
      throw new OpError(`ipset ${args[0]}`, cause);
    }
  };
  await removeStale(run);
  return {
    read: async (prefix) =>
      parseIpSets(await run(['save'])).filter(({ name }) => name.startsWith(prefix)),
    commit: async (changes) => {
      for (let at = 0; at < changes.length; at += LINES_MAX) {
        await child.commit('ipset', changes.slice(at, at + LINES_MAX).map(printIpSetChange));
      }
    },
    close: () => child.close([`destroy ${ACK_SET}`]),
  };
}

// A killed program leaves its acknowledgement set behind.
async function removeStale(run: (args: readonly string[]) => Promise<string>): Promise<void> {
  const names = (await run(['list', '-n']))
    .split('\n')
    .filter((name) => name.startsWith('calico-kit-ack-'));
  for (const name of names) await run(['destroy', name]).catch(() => {}); // gone already
}
