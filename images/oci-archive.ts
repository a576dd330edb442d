// Image archives without a builder or a registry: a folder becomes one layer of an archive that
// containerd, docker, podman and skopeo read. The same folder gives the same bytes: entries are
// sorted, times and owners are zero.
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** The part of an image's configuration that we set (OCI image spec, `config`). */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
}

export interface ImageArchive {
  /** Path of the archive; replaced at once when it is complete. */
  readonly out: string;
  /** Folder that becomes the image's root. */
  readonly rootfs: string;
  readonly config: ImageConfig;
  /** Full references, e.g. `docker.io/calico-kit/etcd:0.1.0`. */
  readonly names: readonly string[];
}

const BLOCK = 512;
const CHUNK = 1 << 20;

/** A file being written whose bytes are counted and, while asked, hashed. */
class Output {
  private readonly fd: number;
  hash: Hash | undefined;
  written = 0;

  constructor(path: string) {
    this.fd = openSync(path, 'w');
  }

  write(bytes: Uint8Array): void {
    writeSync(this.fd, bytes);
    this.hash?.update(bytes);
    this.written += bytes.length;
  }

  /** Zeroes up to the next block. */
  pad(): void {
    const rest = this.written % BLOCK;
    if (rest > 0) this.write(Buffer.alloc(BLOCK - rest));
  }

  writeAt(bytes: Uint8Array, position: number): void {
    writeSync(this.fd, bytes, 0, bytes.length, position);
  }

  close(): void {
    closeSync(this.fd);
  }
}

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly size: number;
  /** POSIX ustar type flag: 0 file, 2 symbolic link, 5 directory, L long name. */
  readonly type: '0' | '2' | '5' | 'L';
  readonly target?: string;
}

const NAME_MAX = 100;

// A name or target over 100 bytes goes into a GNU long-name entry before its header.
function header(entry: Entry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
  };
  block.write(entry.name, 0, NAME_MAX, 'utf8');
  octal(entry.mode, 100, 8);
  octal(0, 108, 8); // owner
  octal(0, 116, 8); // group
  octal(entry.size, 124, 12);
  octal(0, 136, 12); // time
  block.write('        ', 148, 'latin1'); // the checksum counts its own field as blanks
  block.write(entry.type, 156, 'latin1');
  if (entry.target !== undefined) block.write(entry.target, 157, 'utf8');
  block.write('ustar  \0', 257, 'latin1');
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}

function writeEntry(out: Output, entry: Entry): void {
  if ((entry.target?.length ?? 0) > NAME_MAX)
    throw new Error(`link target too long: ${entry.target}`);
  if (Buffer.byteLength(entry.name) > NAME_MAX) {
    const long = Buffer.from(`${entry.name}\0`);
    out.write(header({ name: '././@LongLink', mode: 0, size: long.length, type: 'L' }));
    out.write(long);
    out.pad();
  }
  out.write(header(entry));
}

function writeBytes(out: Output, name: string, bytes: Uint8Array): void {
  writeEntry(out, { name, mode: 0o644, size: bytes.length, type: '0' });
  out.write(bytes);
  out.pad();
}

function writeTree(out: Output, root: string, folder: string): void {
  for (const name of readdirSync(join(root, folder)).sort()) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const stat = lstatSync(join(root, path));
    writeNode(out, root, path, stat);
    if (stat.isDirectory()) writeTree(out, root, path);
  }
}

function writeNode(out: Output, root: string, path: string, stat: Stats): void {
  const mode = modeOf(stat);
  if (stat.isDirectory()) writeEntry(out, { name: `${path}/`, mode, size: 0, type: '5' });
  else if (stat.isSymbolicLink()) {
    writeEntry(out, {
      name: path,
      mode: 0o777,
      size: 0,
      type: '2',
      target: readlinkSync(join(root, path)),
    });
  } else if (stat.isFile()) {
    writeEntry(out, { name: path, mode, size: stat.size, type: '0' });
    copyFile(out, join(root, path));
    out.pad();
  } else throw new Error(`${path} is neither file, folder nor link`);
}

// Nothing of the builder's umask, and never a setuid bit.
function modeOf(stat: Stats): number {
  if (stat.isDirectory()) return stat.mode & 0o1000 ? 0o1777 : 0o755;
  return stat.mode & 0o111 ? 0o755 : 0o644;
}

function copyFile(out: Output, path: string): void {
  const fd = openSync(path, 'r');
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (let n = readSync(fd, buffer); n > 0; n = readSync(fd, buffer))
    out.write(buffer.subarray(0, n));
  closeSync(fd);
}

const END = Buffer.alloc(2 * BLOCK);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const blob = (digest: string): string => `blobs/sha256/${digest}`;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const OCI = 'application/vnd.oci.image';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * Packs the folder as an OCI image layout (with docker's manifest.json beside it, so that
 * `docker load` reads the same bytes). The layer is written and hashed in one pass.
 */
export function writeImageArchive({ out: path, rootfs, config, names }: ImageArchive): void {
  const unfinished = `${path}.${process.pid}`;
  const out = new Output(unfinished);
  const layer = writeLayer(out, rootfs);
  const writeBlob = (mediaType: string, bytes: Buffer): Descriptor => {
    writeBytes(out, blob(sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const image = writeBlob(
    `${OCI}.config.v1+json`,
    json({
      architecture: 'amd64',
      config,
      created: '1970-01-01T00:00:00Z',
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'calico-kit' }],
      os: 'linux',
      rootfs: { diff_ids: [layer.digest], type: 'layers' },
    }),
  );
  const mediaType = `${OCI}.manifest.v1+json`;
  const manifest = writeBlob(
    mediaType,
    json({ schemaVersion: 2, mediaType, config: image, layers: [layer] }),
  );
  const manifests = names.map((name) => ({ ...manifest, annotations: namedAs(name) }));
  writeBytes(
    out,
    'index.json',
    json({ schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests }),
  );
  writeBytes(out, 'oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  const pathOf = ({ digest }: Descriptor): string => blob(digest.replace('sha256:', ''));
  writeBytes(
    out,
    'manifest.json',
    json([{ Config: pathOf(image), Layers: [pathOf(layer)], RepoTags: names }]),
  );
  out.write(END);
  out.close();
  renameSync(unfinished, path);
}

const namedAs = (name: string): Readonly<Record<string, string>> => ({
  'io.containerd.image.name': name,
  'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
});

// The header stands before the bytes that give its name and size: it is written last.
function writeLayer(out: Output, rootfs: string): Descriptor {
  const headerAt = out.written;
  out.write(Buffer.alloc(BLOCK));
  const begin = out.written;
  out.hash = createHash('sha256');
  writeTree(out, rootfs, '');
  out.write(END);
  const digest = out.hash.digest('hex');
  out.hash = undefined;
  const size = out.written - begin;
  out.writeAt(header({ name: blob(digest), mode: 0o644, size, type: '0' }), headerAt);
  out.pad();
  return { mediaType: `${OCI}.layer.v1.tar`, digest: `sha256:${digest}`, size };
}
