// `calico-kit import`: values of another chart as ours.
import type { Command } from 'commander';
import { parse, stringify } from 'yaml';
import type { Json } from '../../base/json.ts';
import { importOpenstackHelm } from '../../model/settings/importing/openstack-helm.ts';

export interface Running {
  readFile(path: string): string;
  /** To standard output. */
  print(text: string): void;
  /** To standard error. */
  tell(text: string): void;
  /** Ends the program with 1. */
  failed(): void;
}

interface Options {
  readonly allowUnknown?: true;
}

/** Adds `import`. */
export function addSettingsCommands(program: Command, running: Running): void {
  program
    .command('import')
    .description('values of another chart as values of this one')
    .command('openstack-helm <file...>')
    .description(
      "of openstack-helm's calico chart; what becomes of each key goes to standard error",
    )
    .option('--allow-unknown', 'unknown keys are no failure')
    .action((files: readonly string[], options: Options) => take(files, options, running));
}

function take(files: readonly string[], { allowUnknown }: Options, running: Running): void {
  const read = files.map((file) => parse(running.readFile(file), { version: '1.1' }) as Json);
  const { values, lines, faults } = importOpenstackHelm(read);
  for (const { key, outcome, words } of lines) {
    const arrow = outcome === 'taken' ? ' ->' : ':';
    running.tell(`${outcome.padEnd(8)}  ${key}${arrow} ${words}`);
  }
  for (const fault of faults) running.tell(`wrong     ${fault}`);
  const unknown = lines.some(({ outcome }) => outcome === 'unknown');
  if (faults.length > 0 || (unknown && !allowUnknown)) running.failed();
  running.print(stringify(values, { lineWidth: 0, version: '1.1' }).trimEnd());
}
