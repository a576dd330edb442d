// IP sets through kept-open `ipset restore`. It says nothing when it is done, but `list` is allowed
// inside it and prints: listing a small set of our own after COMMIT is the acknowledgement. (Listing
// all names would do too, but takes 8 ms with 1,000 sets.)
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { OpError } from '../../base/op-error.ts';
import { inSlices } from '../../base/pause.io.ts';
import { inNamespace, RestoreChild } from '../restore-child.io.ts';
import { closeNetfilter, openNetfilter, Rtnetlink } from '../rtnetlink.io.ts';
import type { IpSet, IpSets } from '../tables.ts';
import { decodeSetHeader, encodeDumpSetHeaders } from './headers.ts';
import { printIpSetChange, SaveReader } from './save.ts';

const execute = promisify(execFile);
/** Outside the `cali40` and `cali60` names that belong to policy; shared by all of us. */
const ACK_SET = 'calico-kit-ack';
/** A socket buffer's worth at a time keeps the child's answers near. */
const LINES_MAX = 10_000;
const ERROR_CHARACTERS_MAX = 4096;
/** For each header the kernel goes through the whole set: some fifty at a time. */
const HEADERS_BYTES = 8192;

export async function openIpSets(options: { readonly netnsPath?: string } = {}): Promise<IpSets> {
  const inside = inNamespace(options.netnsPath);
  const run = async (...args: string[]): Promise<void> => {
    const [file, ...rest] = [...inside, 'ipset', ...args];
    try {
      await execute(file!, rest);
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
  const sizes = new SizeReader(options.netnsPath);
  return {
    read: (prefix) => readSets([...inside, 'ipset', 'save'], prefix),
    sizes: (prefix) => sizes.sizes(prefix),
    commit: async (changes) => {
      for (let at = 0; at < changes.length; at += LINES_MAX) {
        const lines = changes.slice(at, at + LINES_MAX).map(printIpSetChange);
        await child.commit('ipset', [...lines, 'COMMIT']);
      }
    },
    close: async () => {
      await sizes.end();
      await child.close();
      await run('destroy', ACK_SET).catch(() => {}); // never made, or gone already
    },
  };
}

// Some sets at a time, so that others have their turn in between.
function* sizesOf(
  netlink: Rtnetlink,
  prefix: string,
): Generator<undefined, ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const part of netlink.dumpParts('list ip sets', encodeDumpSetHeaders, decodeSetHeader)) {
    for (const { name, size } of part) if (name.startsWith(prefix)) sizes.set(name, size);
    yield;
  }
  return sizes;
}

/** Kept from one look to the next: to close such a socket may take long. One look at a time. */
class SizeReader {
  private readonly netnsPath: string | undefined;
  private netlink: Rtnetlink | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(netnsPath: string | undefined) {
    this.netnsPath = netnsPath;
  }

  sizes(prefix: string): Promise<ReadonlyMap<string, number>> {
    const sizes = this.queue.then(() => this.read(prefix));
    this.queue = sizes.catch(() => undefined);
    return sizes;
  }

  private async read(prefix: string): Promise<ReadonlyMap<string, number>> {
    const { netnsPath } = this;
    this.netlink ??= new Rtnetlink(openNetfilter(netnsPath), closeNetfilter, HEADERS_BYTES);
    try {
      return await inSlices(sizesOf(this.netlink, prefix));
    } catch (cause) {
      this.close(); // the rest of an answer may still come on it
      throw cause;
    }
  }

  private close(): void {
    this.netlink?.close();
    this.netlink = undefined;
  }

  /** After the look under way. */
  async end(): Promise<void> {
    await this.queue;
    this.close();
  }
}

function readSets([file, ...args]: readonly string[], prefix: string): Promise<readonly IpSet[]> {
  return new Promise((resolve, reject) => {
    const reader = new SaveReader(prefix);
    let errors = '';
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.on('error', (cause) => reject(new OpError('ipset save', cause)));
    if (child.pid === undefined) return; // without descriptors it has no pipes either
    child.stdout.setEncoding('utf8').on('data', (text: string) => reader.take(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-ERROR_CHARACTERS_MAX);
    });
    child.on('close', (code, signal) => {
      if (code === 0) resolve(reader.end());
      else reject(new OpError('ipset save', errors || `ended with ${signal ?? `code ${code}`}`));
    });
  });
}
