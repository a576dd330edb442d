// Connection tracking: forget the flows of addresses that left this node, so that their next owner
// does not inherit them. Forking this process stalls it for 10 ms and more on a busy machine (four
// forks for each address made DEL three times as long), so addresses are gathered for a moment and
// one child deletes the flows of all of them.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';
import { inNamespace } from '../restore-child.io.ts';

const execute = promisify(execFile);

const GATHER_MILLISECONDS = 100;
const SIDES = ['--orig-src', '--orig-dst', '--reply-src', '--reply-dst'];

interface Gathering {
  readonly ips: string[];
  readonly done: Promise<void>;
}

/** By namespace; the empty path is this process's own. */
const gatherings = new Map<string, Gathering>();

/**
 * Deletes entries from and to the address, translated ones too; none is fine. Resolves when they
 * are gone. Throws OpError.
 */
export function deleteFlows(
  ip: string,
  { netnsPath }: { readonly netnsPath?: string } = {},
): Promise<void> {
  const gathering = gatherings.get(netnsPath ?? '') ?? gather(netnsPath);
  gathering.ips.push(ip);
  return gathering.done;
}

function gather(netnsPath: string | undefined): Gathering {
  const ips: string[] = [];
  const done = new Promise<void>((resolve, reject) => {
    setTimeout(() => {
      gatherings.delete(netnsPath ?? '');
      deleteAll(ips, netnsPath).then(resolve, reject);
    }, GATHER_MILLISECONDS);
  });
  const gathering = { ips, done };
  gatherings.set(netnsPath ?? '', gathering);
  return gathering;
}

// conntrack 1.4.7 and later read commands from a file; a child's standard input is a socket, which
// the tool cannot open.
async function deleteAll(ips: readonly string[], netnsPath: string | undefined): Promise<void> {
  const lines = ips.flatMap((ip) => SIDES.map((side) => `-D -f ${familyOf(ip)} ${side} ${ip}\n`));
  const folder = await mkdtemp(join(tmpdir(), 'calico-flows-'));
  try {
    const file = join(folder, 'commands');
    await writeFile(file, lines.join(''));
    const [program, ...args] = [...inNamespace(netnsPath), 'conntrack', '--load-file', file];
    await execute(program!, args);
  } catch (cause) {
    throw new OpError(`delete flows of ${ips.join(', ')}`, cause);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const familyOf = (ip: string): string => (ip.includes(':') ? 'ipv6' : 'ipv4');
