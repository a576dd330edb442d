// `calico-kit import`: values of another chart, or an installation of Calico's own, as ours. `settings check`:
// whether the datastore lets new ones be applied.
import type { Command } from 'commander';
import { parse, parseAllDocuments, stringify } from 'yaml';
import type { Json } from '../../base/json.ts';
import { importCalico } from '../../model/settings/importing/calico.ts';
import { importOpenstackHelm } from '../../model/settings/importing/openstack-helm.ts';
import type { ImportReport } from '../../model/settings/importing/report.ts';
import type { Output } from '../output.ts';

export interface Running {
  readFile(path: string): string;
  /** To standard output. */
  print(text: string): void;
  /** To standard error. */
  tell(text: string): void;
  /** The resources in the datastore. */
  live(): Promise<readonly Json[]>;
  /** Ends the program with 1. */
  failed(): void;
  /** Whether pools of new settings fit those in the datastore. */
  check(): Promise<Output>;
  show(output: Output, format: string | undefined): void;
}

interface Options {
  readonly allowUnknown?: true;
}

/** Adds `import` and `settings`. */
export function addSettingsCommands(program: Command, running: Running): void {
  const command = program
    .command('import')
    .description('an installation of another chart, or of Calico itself, as values of this chart');
  command
    .command('openstack-helm <file...>')
    .description(
      "of openstack-helm's calico chart; what becomes of each key goes to standard error",
    )
    .option('--allow-unknown', 'unknown keys are no failure')
    .action((files: readonly string[], options: Options) => {
      const read = files.map((file) => parse(running.readFile(file), { version: '1.1' }) as Json);
      answer(importOpenstackHelm(read), options, running);
    });
  command
    .command('calico [file...]')
    .description(
      "of Calico's resources and manifests, or the operator's Installation, in YAML or JSON " +
        '(kubectl get ... -o yaml, calicoctl get ... -o yaml); what has no equivalent is told of',
    )
    .option('--live', 'of the resources in the datastore as well')
    .action(async (files: readonly string[], { live }: { readonly live?: true }) => {
      if (files.length === 0 && !live) throw new Error('name files, or --live for the datastore');
      const read = files.flatMap((file) => documentsIn(file, running.readFile(file)));
      answer(importCalico([...read, ...(live ? await running.live() : [])]), {}, running);
    });
  program
    .command('settings')
    .description('settings of the chart against the datastore')
    .command('check')
    .description(
      'whether pools can be as new settings ask for (CALICO_SETTINGS_POOLS, as the chart writes it); ' +
        'ends with 1 when not, and with 0 when the datastore cannot be asked',
    )
    .option('-o, --output <format>', 'json')
    .action(async ({ output }: { readonly output?: string }) =>
      running.show(await running.check(), output),
    );
}

function documentsIn(file: string, text: string): readonly Json[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw new Error(`${file}: ${error.message}`);
    return [document.toJS() as Json];
  });
}

function answer(
  { values, lines, faults }: ImportReport,
  { allowUnknown }: Options,
  running: Running,
): void {
  for (const { key, outcome, words } of lines) {
    const arrow = outcome === 'taken' ? ' ->' : ':';
    running.tell(`${outcome.padEnd(8)}  ${key}${arrow} ${words}`);
  }
  for (const fault of faults) running.tell(`wrong     ${fault}`);
  const unknown = lines.some(({ outcome }) => outcome === 'unknown');
  if (faults.length > 0 || (unknown && !allowUnknown)) running.failed();
  running.print(stringify(values, { lineWidth: 0, version: '1.1' }).trimEnd());
}
