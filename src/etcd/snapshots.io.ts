// Snapshots of the datastore as files.
import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Open, using } from './members.io.ts';
import { snapshotName, tooMany } from './snapshots.ts';

const HASH_BYTES = 32;

/** What was written. */
export interface Written {
  readonly file: string;
  readonly bytes: number;
}

/**
 * Writes the state of one member into `file`, which is there whole or not at all, and for its owner
 * only. `isAgreed`: the member first hears from the others that it is up to date.
 */
export async function takeSnapshot(open: Open, file: string, isAgreed = true): Promise<Written> {
  mkdirSync(dirname(file), { recursive: true });
  const part = `${file}.part`;
  const out = openSync(part, 'w', 0o600);
  let bytes = 0;
  const hash = createHash('sha256');
  // The last ones are the hash of all before.
  let held = Buffer.alloc(0);
  try {
    await using(open, undefined, async (members) => {
      if (isAgreed) await members.list(true);
      await members.snapshot((blob) => {
        writeSync(out, blob);
        bytes += blob.length;
        held = Buffer.concat([held, blob]);
        hash.update(held.subarray(0, Math.max(0, held.length - HASH_BYTES)));
        held = held.subarray(-HASH_BYTES);
      });
    });
    if (!hash.digest().equals(held)) throw new Error(`${file}: it came incomplete`);
    fsyncSync(out);
    renameSync(part, file);
  } catch (cause) {
    rmSync(part, { force: true });
    throw cause;
  } finally {
    closeSync(out);
  }
  return { file, bytes };
}

/** A snapshot of its time in `folder`; older ones beyond `keep` go. Answers what was written. */
export async function takeSnapshotInto(
  open: Open,
  folder: string,
  keep: number,
  time: number,
): Promise<Written> {
  const written = await takeSnapshot(open, join(folder, snapshotName(time)));
  for (const name of tooMany(readdirSync(folder), keep)) rmSync(join(folder, name));
  return written;
}
