// Archives of small folders, read back by a reader of our own.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { writeImageArchive } from './oci-archive.ts';

interface Entry {
  readonly mode: string;
  readonly type: string;
  readonly target: string;
  readonly bytes: Buffer;
}

/** Reads GNU tar; throws on a wrong checksum. */
function readTar(tar: Buffer): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  let longName: string | undefined;
  for (let at = 0; tar[at] !== 0; ) {
    const head = tar.subarray(at, at + 512);
    const text = (from: number, length: number): string =>
      head
        .subarray(from, from + length)
        .toString()
        .replace(/\0.*$/s, '');
    const sum = head.reduce((n, byte, i) => n + (i >= 148 && i < 156 ? 32 : byte), 0);
    assert.equal(Number.parseInt(text(148, 8), 8), sum);
    for (const field of [108, 116, 136]) assert.match(text(field, 8), /^0+$/);
    const size = Number.parseInt(text(124, 12), 8);
    const bytes = tar.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
    if (text(156, 1) === 'L') {
      longName = bytes.toString().replace(/\0$/, '');
      continue;
    }
    const entry = { mode: text(100, 8), type: text(156, 1), target: text(157, 100), bytes };
    entries.set(longName ?? text(0, 100), entry);
    longName = undefined;
  }
  return entries;
}

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'calico-kit-archive-'));
  root = join(folder, 'root');
  mkdirSync(root);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const LONG = `${'long/'.repeat(25)}name`;
const NAMES = ['docker.io/calico-kit/one:0.1.0', 'docker.io/calico-kit/two:0.1.0'];

function fill(): void {
  mkdirSync(join(root, LONG, '..'), { recursive: true });
  writeFileSync(join(root, LONG), 'deep');
  writeFileSync(join(root, 'program'), 'x'.repeat(513), { mode: 0o755 });
  writeFileSync(join(root, 'empty'), '');
  symlinkSync('/run', join(root, 'link'));
  mkdirSync(join(root, 'tmp'));
  chmodSync(join(root, 'tmp'), 0o1777);
}

function archive(name: string): Buffer {
  const out = join(folder, name);
  writeImageArchive({ out, rootfs: root, config: { Entrypoint: ['/program'] }, names: NAMES });
  return readFileSync(out);
}

test('every blob has the digest that names it, from index to layer', () => {
  fill();
  const entries = readTar(archive('a.tar'));
  const read = (path: string) => JSON.parse(String(entries.get(path)?.bytes));
  const blob = ({ digest, size }: { digest: string; size: number }): Buffer => {
    const bytes = entries.get(`blobs/${digest.replace(':', '/')}`)?.bytes;
    assert.ok(bytes);
    assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest);
    assert.equal(bytes.length, size);
    return bytes;
  };
  const { manifests } = read('index.json');
  assert.deepEqual(
    manifests.map((m: { annotations: object }) => Object.values(m.annotations)[0]),
    NAMES,
  );
  const manifest = JSON.parse(String(blob(manifests[0])));
  const config = JSON.parse(String(blob(manifest.config)));
  const layer = readTar(blob(manifest.layers[0]));
  assert.deepEqual(config.rootfs.diff_ids, [manifest.layers[0].digest]);
  assert.deepEqual(config.config, { Entrypoint: ['/program'] });
  assert.equal(String(layer.get(LONG)?.bytes), 'deep');
  assert.equal(layer.get('program')?.bytes.length, 513);
  assert.equal(layer.get('empty')?.bytes.length, 0);
  assert.deepEqual([layer.get('link')?.type, layer.get('link')?.target], ['2', '/run']);
  const modes = ['program', 'empty', 'tmp/', 'long/'].map((name) => layer.get(name)?.mode);
  assert.deepEqual(modes, ['0000755', '0000644', '0001777', '0000755']);
  assert.deepEqual(read('manifest.json')[0].RepoTags, NAMES);
});

test('the same contents give the same bytes, whatever times and umask', () => {
  fill();
  const first = archive('a.tar');
  const umask = process.umask(0o077);
  try {
    rmSync(root, { recursive: true });
    mkdirSync(root);
    fill();
  } finally {
    process.umask(umask);
  }
  utimesSync(join(root, 'program'), 1, 1);
  assert.ok(archive('b.tar').equals(first));
});

test('a setuid bit does not survive', () => {
  writeFileSync(join(root, 'program'), '', { mode: 0o755 });
  chmodSync(join(root, 'program'), 0o4755);
  const entries = readTar(archive('a.tar'));
  const layer = [...entries.values()].find(({ bytes }) =>
    bytes.subarray(257, 262).equals(Buffer.from('ustar')),
  );
  assert.equal(readTar(layer!.bytes).get('program')?.mode, '0000755');
});

test('what is neither file, folder nor link is refused', () => {
  assert.throws(() => {
    symlinkSync('x'.repeat(101), join(root, 'far'));
    archive('a.tar');
  }, /link target too long/);
});
