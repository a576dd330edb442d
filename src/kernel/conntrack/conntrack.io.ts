// Connection tracking: forget the flows of addresses that left this node, so that their next owner
// does not inherit them. A fork of this process stalls it for some milliseconds, so addresses are
// gathered for a moment and one child deletes the flows of all of them.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';

const execute = promisify(execFile);

const GATHER_MILLISECONDS = 1000;
const SIDES = ['--orig-src', '--orig-dst', '--reply-src', '--reply-dst'];

/** Deletes entries from and to the address; none is fine. Resolves when they are gone. */
export type DeleteFlows = (ip: string) => Promise<void>;

/** `command`: the conntrack tool, with what puts it into a namespace. */
export function openFlowDeleter(command: readonly string[] = ['conntrack']): DeleteFlows {
  let gathering: { readonly ips: string[]; readonly done: Promise<void> } | undefined;
  return (ip) => {
    if (!gathering) {
      const ips: string[] = [];
      const done = new Promise<void>((resolve, reject) => {
        setTimeout(() => {
          gathering = undefined;
          deleteAll(command, ips).then(resolve, reject);
        }, GATHER_MILLISECONDS);
      });
      gathering = { ips, done };
    }
    gathering.ips.push(ip);
    return gathering.done;
  };
}

/** The flows of this process's own network namespace. */
export const deleteFlows: DeleteFlows = openFlowDeleter();

// conntrack 1.4.7 and later read commands from a file; a child's standard input is a socket, which
// the tool cannot open.
async function deleteAll(command: readonly string[], ips: readonly string[]): Promise<void> {
  const lines = ips.flatMap((ip) => SIDES.map((side) => `-D ${familyFlag(ip)}${side} ${ip}\n`));
  const folder = await mkdtemp(join(tmpdir(), 'calico-flows-'));
  try {
    const file = join(folder, 'commands');
    await writeFile(file, lines.join(''));
    const [program = '', ...args] = [...command, '--load-file', file];
    await execute(program, args);
  } catch (cause) {
    throw new OpError('delete flows', cause);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const familyFlag = (ip: string): string => (ip.includes(':') ? '-f ipv6 ' : '');
