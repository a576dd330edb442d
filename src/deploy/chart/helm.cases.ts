// Running the real Helm on the chart, for tests.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { toolPath } from '../../../test/cluster/tools.ts';
import type { Json } from '../../base/json.ts';
import type { Manifest } from '../manifests.ts';

const CHART = join(import.meta.dirname, '../../../charts/calico');

export interface Helm {
  /** Output of a Helm command on the chart; throws with Helm's words when it fails. */
  run(command: readonly string[], values?: Json, more?: { readonly kubernetes?: string }): string;
  /** The objects that `helm template` prints. */
  template(values: Json): readonly Manifest[];
  /** Helm's words when it refuses the values; undefined when it takes them. */
  refusal(values: Json): string | undefined;
  /** NOTES.txt for the values. */
  notes(values: Json): string;
  close(): void;
}

// A Helm built from its module takes an ancient Kubernetes for granted when there is no cluster.
const KUBERNETES = '1.36.0';

/** Helm with the committed chart and a folder of its own; `close` removes the folder. */
export async function openHelm(): Promise<Helm> {
  const binary = await toolPath('helm');
  const work = mkdtempSync(join(tmpdir(), 'ckt-helm-'));
  const file = join(work, 'values.json');
  // No kubeconfig and no home: nothing of the machine reaches a test.
  const env = { PATH: process.env['PATH'], HOME: work, KUBECONFIG: '/dev/null' };

  const call = (
    command: readonly string[],
    values: Json,
    { chart = CHART, kubernetes = KUBERNETES } = {},
  ) => {
    writeFileSync(file, JSON.stringify(values));
    const args = [...command, chart, '-f', file, '--kube-version', kubernetes];
    return spawnSync(binary, args, { encoding: 'utf8', env, maxBuffer: 1 << 26 });
  };
  const run = (
    command: readonly string[],
    values: Json = {},
    more: { readonly chart?: string; readonly kubernetes?: string } = {},
  ): string => {
    const { status, stdout, stderr } = call(command, values, more);
    if (status !== 0) throw new Error(`helm ${command.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
  return {
    run,
    template: (values) =>
      parseAllDocuments(run(['template', 'calico'], values), { version: '1.1' })
        .map((document) => document.toJS() as Manifest)
        .filter(Boolean),
    refusal: (values) => {
      const { status, stderr } = call(['template', 'calico'], values);
      return status === 0 ? undefined : stderr;
    },
    notes: (values) =>
      parse(run(['template', 'calico'], values, { chart: chartOfNotes(work) }))['notes'],
    close: () => rmSync(work, { recursive: true, force: true }),
  };
}

// `helm template` leaves NOTES.txt out, so a chart of its own prints it as a value.
function chartOfNotes(work: string): string {
  const chart = join(work, 'notes');
  mkdirSync(join(chart, 'templates'), { recursive: true });
  for (const path of ['Chart.yaml', 'values.yaml']) cpSync(join(CHART, path), join(chart, path));
  cpSync(join(CHART, 'templates/NOTES.txt'), join(chart, 'notes.txt'));
  const template = 'notes: {{ tpl (.Files.Get "notes.txt") . | toJson }}\n';
  writeFileSync(join(chart, 'templates/notes.yaml'), template);
  return chart;
}
