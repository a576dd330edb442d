// Programs as single files: `node images/bundle.ts FOLDER PROGRAM...`, as the Dockerfiles call it.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { commit } from '../src/cli/commit.io.ts';
import { install } from './rootfs.ts';

const ROOT = join(import.meta.dirname, '..');

// Some dependencies are CommonJS and ask for `require`.
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/**
 * An `import` of node:http makes Node read every name that it exports, and one of them is the whole of
 * undici: 35 ms of processor time and 10 MiB in each program. Asked for as a value it reads none.
 */
const LEAN_HTTP: Plugin = {
  name: 'lean-http',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^node:http$/ }, ({ path }) => ({ path, namespace: 'lean' }));
    onLoad({ filter: /^node:http$/, namespace: 'lean' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}')`,
    }));
  },
};

/** Threads of a program, each a file beside it. */
const THREADS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  speaker: { 'speaker-bfd': 'src/speaker/bfd/thread.io.ts' },
};

/**
 * One file per program and thread, and one for what it loads on demand only (the Kubernetes client,
 * which is large and needed for a kubeconfig alone). koffi stays outside, it carries a native
 * library. Answers the program's and its threads' files.
 */
export async function bundle(program: string, folder: string): Promise<readonly string[]> {
  await buildOne(join('src', program, 'main.ts'), program, folder, true);
  const threads = Object.entries(THREADS[program] ?? {});
  for (const [thread, path] of threads) await buildOne(path, thread, folder, false);
  return [program, ...threads.map(([thread]) => thread)].map((name) => join(folder, `${name}.mjs`));
}

/** One file, as programs are made. */
export async function buildOne(
  path: string,
  name: string,
  folder: string,
  splitting: boolean,
): Promise<void> {
  await build({
    entryPoints: [{ in: join(ROOT, path), out: name }],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: `on-demand/${name}-[hash]`,
    splitting,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['koffi'],
    plugins: [LEAN_HTTP],
    banner: { js: REQUIRE },
    define: { 'process.env.CALICO_KIT_COMMIT': JSON.stringify(commit()) },
    minifySyntax: true,
    legalComments: 'linked',
    logLevel: 'error',
  });
}

/** koffi's loader and its native library for Linux on x64 into `folder`; its C sources stay out. */
export function installKoffi(folder: string): void {
  const from = join(ROOT, 'node_modules');
  for (const part of ['', 'src/koffi', 'src/koffi/src']) {
    for (const file of readdirSync(join(from, 'koffi', part))) {
      if (/\.(c?js|json|txt)$/.test(file) && file !== 'cnoke.cjs')
        install(folder, join(from, 'koffi', part, file), join('node_modules', 'koffi', part, file));
    }
  }
  const native = '@koromix/koffi-linux-x64';
  for (const file of ['package.json', 'index.js', 'linux_x64/koffi.node'])
    install(folder, join(from, native, file), join('node_modules', native, file));
}

if (import.meta.main) {
  const [folder, ...programs] = process.argv.slice(2);
  if (folder === undefined || programs.length === 0)
    throw new Error('usage: node images/bundle.ts FOLDER PROGRAM...');
  for (const program of programs) await bundle(program, folder);
  if (programs.includes('agent')) installKoffi(folder);
}
