// Style is a test: who may import whom, where IO may happen, sizes, no `any`.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const PORTS = ['datastore', 'kernel', 'kubernetes'];
const FEATURES = ['ipam', 'cni', 'bgp', 'bfd', 'routes', 'policy', 'services', 'etcd'];
const PROGRAMS = ['agent', 'speaker', 'controllers', 'cli', 'deploy'];
const EVERYTHING_BELOW = ['base', 'net', 'model', ...PORTS, ...FEATURES];

/** Folder of src -> folders of ours it may import at run time. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  net: ['base'],
  model: ['base', 'net'],
  datastore: ['base', 'net', 'model'],
  kernel: ['base', 'net'],
  kubernetes: ['base', 'net', 'model'],
  ...Object.fromEntries(FEATURES.map((f) => [f, ['base', 'net', 'model']])),
  ...Object.fromEntries(PROGRAMS.map((p) => [p, EVERYTHING_BELOW])),
};

/** Third parties have one door each. */
const DOORS: Record<string, readonly string[]> = {
  koffi: ['kernel'],
  '@bufbuild/protobuf': ['datastore'],
  '@kubernetes/client-node': ['kubernetes'],
  cdk8s: ['deploy'],
  constructs: ['deploy'],
  yaml: ['deploy', 'cli'],
  ajv: ['model'],
  typebox: ['model', 'deploy'],
  commander: ['cli'],
  'prom-client': ['base'],
  pino: ['base'],
  '@peculiar/x509': ['etcd'],
  'reflect-metadata': ['etcd'],
};

const PURE_NODE_MODULES: Record<string, readonly string[]> = { base: ['node:crypto'] };

const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 60;
const COLUMNS_MAX = 100;
const FOLDER_FILES_MAX = 15;

interface Source {
  readonly path: string;
  readonly text: string;
}

function sourcesIn(folder: string): readonly Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !/(^|\/)gen\/|\.gen\.|\.d\.ts$|node_modules/.test(path))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

const SRC = sourcesIn('src');
const ALL = [...SRC, ...sourcesIn('test'), ...sourcesIn('images')];
const isTest = (path: string): boolean => /\.(test|cases)\.ts$/.test(path);
const isShell = (path: string): boolean => /(\.io|\/main)\.ts$/.test(path);
const folderOf = (path: string): string => path.split('/')[1] ?? '';

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

function importsOf(text: string): readonly Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s+(type\s)?([^;]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  );
  return [...statements].map((m) => ({
    from: m[3]!,
    typeOnly: m[1] !== undefined || onlyTypes(m[2]),
  }));
}

// `import { type A, type B } from` erases to nothing that runs.
function onlyTypes(clause: string | undefined): boolean {
  const names = /^\{([^}]*)\}/.exec(clause?.trim() ?? '')?.[1];
  const parts =
    names
      ?.split(',')
      .map((n) => n.trim())
      .filter(Boolean) ?? [];
  return parts.length > 0 && parts.every((part) => part.startsWith('type '));
}

test('imports keep to the table', () => {
  const wrong: string[] = [];
  for (const { path, text } of SRC.filter((s) => !isTest(s.path))) {
    const here = folderOf(path);
    for (const { from, typeOnly } of importsOf(text)) {
      if (!from.startsWith('.')) continue;
      const target = normalize(join(dirname(path), from));
      const there = folderOf(target);
      const allowed = here === there || MAY_IMPORT[here]?.includes(there);
      const portTypes =
        FEATURES.includes(here) && PORTS.includes(there) && (typeOnly || isShell(path));
      // Constants of a port are values of its language, not its implementation.
      const portValues = FEATURES.includes(here) && target === 'src/kernel/kernel.ts';
      if (!target.startsWith('src/') || !(allowed || portTypes || portValues))
        wrong.push(`${path} imports ${from}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('node: modules and third parties enter by their doors', () => {
  const wrong: string[] = [];
  for (const { path, text } of SRC.filter((s) => !isTest(s.path))) {
    const here = folderOf(path);
    for (const { from, typeOnly } of importsOf(text)) {
      if (from.startsWith('.') || typeOnly) continue;
      if (from.startsWith('node:')) {
        const pure = PURE_NODE_MODULES[here]?.includes(from);
        if (!isShell(path) && !pure && here !== 'deploy') wrong.push(`${path} imports ${from}`);
        continue;
      }
      const name = from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/');
      if (!DOORS[name]?.includes(here)) wrong.push(`${path} imports ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('the clock and randomness are arguments outside the shell', () => {
  const reads =
    /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval|process\.env)\b/;
  const wrong = SRC.filter(
    (s) => !isTest(s.path) && !isShell(s.path) && folderOf(s.path) !== 'deploy',
  )
    .filter((s) => reads.test(withoutComments(s.text)))
    .map((s) => s.path);
  assert.deepEqual(wrong, []);
});

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');

test('no `any`', () => {
  const wrong = ALL.flatMap(({ path, text }) =>
    withoutComments(text)
      .split('\n')
      .flatMap((line, i) =>
        /[:<|&(,]\s*any\b(?!['`\w])|\bas any\b/.test(line) && !/['"`].*\bany\b.*['"`]/.test(line)
          ? [`${path}:${i + 1}`]
          : [],
      ),
  );
  assert.deepEqual(wrong, []);
});

test('files, lines and folders are small', () => {
  const wrong: string[] = [];
  for (const { path, text } of ALL) {
    const lines = text.split('\n');
    if (lines.length > FILE_LINES_MAX && !isTest(path))
      wrong.push(`${path}: ${lines.length} lines`);
    for (const [i, line] of lines.entries()) {
      if (line.length > COLUMNS_MAX && !isTest(path) && !/['"`/]/.test(line)) {
        wrong.push(`${path}:${i + 1}: ${line.length} columns`);
      }
    }
  }
  const count = new Map<string, number>();
  for (const { path } of SRC.filter((s) => !isTest(s.path))) {
    count.set(dirname(path), (count.get(dirname(path)) ?? 0) + 1);
  }
  for (const [folder, files] of count) {
    if (files > FOLDER_FILES_MAX && !FOLDERS_OF_NOUNS.includes(folder))
      wrong.push(`${folder}: ${files} files`);
  }
  assert.deepEqual(wrong, []);
});

/** One noun a file by design. */
const FOLDERS_OF_NOUNS = ['src/model'];

test('functions are short', () => {
  const wrong: string[] = [];
  for (const { path, text } of ALL.filter((s) => !isTest(s.path))) {
    for (const { name, lines } of functionsOf(text)) {
      if (lines > FUNCTION_LINES_MAX) wrong.push(`${path}: ${name} has ${lines} lines`);
    }
  }
  assert.deepEqual(wrong, []);
});

// Top-level functions and methods, by the indentation of their closing brace.
function functionsOf(text: string): readonly { name: string; lines: number }[] {
  const lines = text.split('\n');
  const opening =
    /^(\s{0,2})(?:export )?(?:static |private |override )*(?:async )?(?:function\*? )?(\w+)(?:<[^>]*>)?\([^;]*$/;
  return lines.flatMap((line, start) => {
    const match = opening.exec(line);
    if (!match || /^(if|for|while|switch|return|await|test|describe)$/.test(match[2]!)) return [];
    const end = lines.findIndex((l, i) => i > start && new RegExp(`^${match[1]}\\}`).test(l));
    return end < 0 ? [] : [{ name: match[2]!, lines: end - start + 1 }];
  });
}

test('nothing names a machine path', () => {
  const wrong = ALL.filter(
    (s) => /\/work\/(main|shared)/.test(s.text) && !s.path.endsWith('tidy.test.ts'),
  ).map((s) => s.path);
  assert.deepEqual(wrong, []);
});
