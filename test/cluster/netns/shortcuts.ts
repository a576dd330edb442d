// Small commands for people, beside the cluster's state: `run/kubectl get pods -A` and
// `run/ck-n1 ip route`. They go with the cluster.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kubectlCommand } from './control-plane.ts';
import { nodeMachine, nodeName, RUN } from './layout.ts';

const script = (name: string, line: string): void => {
  const file = join(RUN, name);
  writeFileSync(file, `#!/bin/sh\n${line}\n`);
  chmodSync(file, 0o755);
};

const quoted = (argv: readonly string[]): string =>
  argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');

export const shortcut = (name: string): string => join(RUN, name);

/** Writes `kubectl` and a command per node that enters it (a shell when nothing is asked). */
export async function writeShortcuts(numbers: readonly number[]): Promise<void> {
  script('kubectl', `exec ${quoted(await kubectlCommand())} "$@"`);
  for (const number of numbers) {
    const record = quoted([join(RUN, 'pid', nodeMachine(number))]);
    script(
      nodeName(number),
      `read -r outer _ <${record}; read -r init _ </proc/$outer/task/$outer/children
exec nsenter -t "$init" -m -u -i -n -p "$@"`,
    );
  }
}
