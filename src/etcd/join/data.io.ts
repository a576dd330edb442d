// The data of a member on its node's disk, and the mark of the snapshot that it began from.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { flagOf, runToEnd } from './process.io.ts';

/** So far revisions go ahead of those that watchers have seen, who then read everything anew. */
const REVISIONS_AHEAD = 1_000_000_000;

export class MemberData {
  readonly folder: string;
  private readonly command: readonly string[];

  /** `command`: etcd's own. */
  constructor(command: readonly string[]) {
    this.command = command;
    this.folder = flagOf(command, '--data-dir');
  }

  /**
   * Whether there is any. A member goes by its log, which comes whole; what etcd left before it has
   * one, such as where the others fell silent while it joined, is none: started on that alone, it
   * would begin a datastore of its own.
   */
  get isThere(): boolean {
    const log = join(this.folder, 'member/wal');
    return existsSync(log) && readdirSync(log).some((name) => name.endsWith('.wal'));
  }

  get epoch(): string {
    return existsSync(this.mark) ? readFileSync(this.mark, 'utf8') : '';
  }

  /** Before data comes: what it will have begun from. */
  setEpoch(epoch: string): void {
    const part = `${this.mark}.part`;
    writeFileSync(part, epoch);
    renameSync(part, this.mark);
  }

  private get mark(): string {
    return `${this.folder}.epoch`;
  }

  /** What is there is kept under another name; what was set aside before goes. */
  setAside(time: number): void {
    if (!this.isThere) {
      rmSync(this.folder, { recursive: true, force: true });
      return;
    }
    const [parent, name] = [dirname(this.folder), basename(this.folder)];
    const former = readdirSync(parent).filter((one) => one.startsWith(`${name}.before-`));
    renameSync(this.folder, `${this.folder}.before-${time}`);
    for (const one of former) rmSync(join(parent, one), { recursive: true });
  }

  /** Data of a first member from a snapshot; whole, or not there. */
  async restore(snapshot: string, epoch: string): Promise<void> {
    const part = `${this.folder}.part`;
    rmSync(part, { recursive: true, force: true });
    const peerUrl = flagOf(this.command, '--initial-advertise-peer-urls');
    const name = flagOf(this.command, '--name');
    await runToEnd([
      join(dirname(this.command[0]!), 'etcdutl'),
      ...['snapshot', 'restore', snapshot, `--data-dir=${part}`, `--name=${name}`],
      ...[`--initial-cluster=${name}=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
      ...[`--bump-revision=${REVISIONS_AHEAD}`, '--mark-compacted'],
    ]);
    this.setEpoch(epoch);
    this.setAside(Date.now());
    renameSync(part, this.folder);
  }
}

/** All data of a member in this folder's place: its own, and what was set aside. Answers what went. */
export function eraseData(folder: string): readonly string[] {
  const [parent, name] = [dirname(folder), basename(folder)];
  if (!existsSync(parent)) return [];
  const ours = readdirSync(parent).filter((one) => one === name || one.startsWith(`${name}.`));
  for (const one of ours) rmSync(join(parent, one), { recursive: true });
  return ours;
}
