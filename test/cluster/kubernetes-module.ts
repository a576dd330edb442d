// A go.mod that can build Kubernetes' commands: its own replaces of the staging modules point into
// its source tree, so a module that requires it must name each staging module's release instead.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** The text of go.mod, with the packages that are built from it; `v1.36.3` has staging modules `v0.36.3`. */
export async function kubernetesModule(
  version: string,
  packages: readonly string[],
): Promise<string> {
  const staging = version.replace(/^v1\./, 'v0.');
  const { stdout } = await execute('go', [
    'mod',
    'download',
    '-json',
    `k8s.io/kubernetes@${version}`,
  ]);
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  const own = readFileSync(join(Dir, 'go.mod'), 'utf8');
  const staged = [...own.matchAll(/^\s*(?:replace )?(k8s\.io\/[\w./-]+) => \.\/staging/gm)].map(
    (m) => m[1]!,
  );
  return [
    'module example.org/kubernetes',
    '',
    'go 1.26.0',
    '',
    `require k8s.io/kubernetes ${version}`,
    '',
    'replace (',
    ...staged.map((m) => `\t${m} => ${m} ${staging}`),
    ')',
    '',
    'tool (',
    ...packages.map((path) => `\t${path}`),
    ')',
    '',
  ].join('\n');
}
