// The shown commands on a cluster: each by a shell on its first node, in a folder that looks like ours and has
// the files which the texts speak of.
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { CHART } from '../bring-up.ts';
import type { Cluster } from '../cluster.ts';
import { outcomeOf } from '../command.ts';
import { shownCommands, type Treatment, treatmentOf } from './commands.ts';

const ROOT = join(import.meta.dirname, '../../..');
const VALUES = join(import.meta.dirname, '../values.yaml');

const POLICY = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: demo}
spec:
  selector: app == 'server'
  ingress: [{action: Allow, source: {selector: app == 'client'}}]
`;

/** The words of those that failed. Pods client and server of the demonstration are there. */
export async function runShown(cluster: Cluster): Promise<readonly string[]> {
  const folder = makeFolder(dirname(cluster.kubeconfig));
  const prelude = [
    'set -eo pipefail',
    `cd ${folder}; export HOME=${folder} KUBECONFIG=${cluster.kubeconfig}`,
    'export ETCD_ENDPOINTS=http://10.96.232.136:6666',
    `calico-kit() { node ${ROOT}/src/cli/main.ts "$@"; }`,
  ].join('\n');
  const failures: string[] = [];
  const runOne = async (command: string): Promise<void> => {
    const script = scriptOf(command, treatmentOf(command)!);
    if (script === undefined) return;
    const node = cluster.nodes[0]!.name;
    const argv = ['bash', '-c', `${prelude}\n${script}`];
    const { ok, output } = await outcomeOf(cluster.enter(node, argv));
    if (!ok) failures.push(`${command}\n${output.slice(output.indexOf(script))}`);
  };
  // One after the other: some change what others look at.
  for (const command of [...shownCommands(), ...AFTERWARDS]) await runOne(command);
  return failures;
}

/** What the cluster is to have again. */
const AFTERWARDS = ['calico-kit ipam configure --strictaffinity=false --max-blocks-per-host=0'];

function scriptOf(command: string, treatment: Treatment): string | undefined {
  if (treatment.kind === 'elsewhere') return undefined;
  const { add, until, swap } = treatment;
  const named = swap === undefined ? command : command.replace(...swap);
  const shown = until === undefined ? named : named.slice(0, named.indexOf(until));
  return add === undefined ? shown : `${shown} ${add}`;
}

function makeFolder(parent: string): string {
  const folder = join(parent, 'readme');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of ['src', 'charts', 'node_modules', 'package.json'])
    symlinkSync(join(ROOT, name), join(folder, name));
  const values = parse(readFileSync(VALUES, 'utf8')) as { networking: object };
  const { networking } = values;
  writeFileSync(
    join(folder, 'new.yaml'),
    stringify({ ...values, networking: { ...networking, mtu: 9000 } }),
  );
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  copyFileSync(VALUES, join(folder, 'my-values.yaml'));
  copyFileSync(join(CHART, 'ci/openstack-values.yaml'), join(folder, 'old-values.yaml'));
  return folder;
}
