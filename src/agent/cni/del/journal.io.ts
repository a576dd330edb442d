// Releases that the datastore could not take yet: DEL has cut the pod off, the runtime may forget it,
// and the address stays taken until the entry is carried out. One file each, on disk before DEL answers.
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** What a container leaves in the datastore. */
export interface Departure {
  readonly handleId: string;
  readonly containerId: string;
  /** Key of its WorkloadEndpoint, which a newer container of the pod may have taken over. */
  readonly endpointKey: string;
}

/** Ending of a file's name while it is written. */
const UNFINISHED = '.new';

export class ReleaseJournal {
  private readonly folder: string;
  private readonly known: Map<string, Departure>;

  /**
   * Reads what a former process left; entries that cannot be read are left alone, half-written ones
   * were never promised and go.
   */
  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const all = readdirSync(folder);
    for (const name of all) if (name.endsWith(UNFINISHED)) rmSync(join(folder, name));
    const files = all.filter((name) => name.endsWith('.json'));
    const read = files.flatMap((name) => parse(readFileSync(join(folder, name), 'utf8')));
    this.known = new Map(read.map((entry) => [entry.handleId, entry]));
  }

  /** On disk when it returns. Throws when the disk refuses: then nothing was promised. */
  record(entry: Departure): void {
    const path = this.pathOf(entry.handleId);
    const unfinished = path + UNFINISHED;
    try {
      synced(unfinished, 'w', (file) => writeFileSync(file, JSON.stringify(entry)));
      renameSync(unfinished, path);
      synced(this.folder, 'r', () => {});
    } catch (cause) {
      for (const left of [unfinished, path]) rmSync(left, { force: true });
      throw cause;
    }
    this.known.set(entry.handleId, entry);
  }

  /** Carried out, or the container is there again. */
  forget(handleId: string): void {
    if (this.known.delete(handleId)) rmSync(this.pathOf(handleId), { force: true });
  }

  entries(): readonly Departure[] {
    return [...this.known.values()];
  }

  private pathOf(handleId: string): string {
    return join(this.folder, `${createHash('sha256').update(handleId).digest('hex')}.json`);
  }
}

/** Works on an open file or folder; what was written is on disk then. */
function synced(path: string, flags: 'r' | 'w', work: (descriptor: number) => void): void {
  const descriptor = openSync(path, flags, 0o600);
  try {
    work(descriptor);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function parse(text: string): readonly Departure[] {
  try {
    const { handleId, containerId, endpointKey } = JSON.parse(text) as Partial<Departure>;
    const whole = handleId && containerId && endpointKey;
    return whole ? [{ handleId, containerId, endpointKey }] : [];
  } catch {
    return [];
  }
}
