// Connection tracking: forget the flows of an address that left this node, so that the next owner
// does not inherit them. Off the hot path: DEL has answered before.
import { execFile } from 'node:child_process';
import { OpError } from '../../base/op-error.ts';
import { inNamespace } from '../restore-child.io.ts';

const SIDES = ['--orig-src', '--orig-dst', '--reply-src', '--reply-dst'];
/** `conntrack` reads, then deletes; it stops at a flow that ended by itself in between. */
const TRIES_MAX = 10;

/** Deletes entries from and to the address, translated ones too; none is fine. Throws OpError. */
export async function deleteFlows(
  ip: string,
  { netnsPath }: { readonly netnsPath?: string } = {},
): Promise<void> {
  const family = ip.includes(':') ? 'ipv6' : 'ipv4';
  const command = [...inNamespace(netnsPath), 'conntrack', '-D', '-f', family];
  // One after the other: a flow has several sides, and two commands would fight over it.
  for (const side of SIDES) {
    let said = await failureOf([...command, side, ip]);
    for (let tries = 1; said && hasVanished(said) && tries < TRIES_MAX; tries++)
      said = await failureOf([...command, side, ip]);
    if (said) throw new OpError(`delete flows of ${ip}`, said);
  }
}

const hasVanished = (said: string): boolean => said.includes("such conntrack doesn't exist");

/** What the command said when it failed; undefined when it did not. */
const failureOf = ([file, ...args]: readonly string[]): Promise<string | undefined> =>
  new Promise((resolve) => {
    execFile(file!, args, (error, _stdout, stderr) => {
      // Exit 1 with "0 flow entries have been deleted" is what an idle address gives.
      const isDone = !error || /flow entries have been deleted/.test(stderr);
      resolve(isDone ? undefined : stderr.trim() || error.message);
    });
  });
