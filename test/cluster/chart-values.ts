// What the chart's example values do on a real API server: objects by strict dry run, and settings
// that are lists, which come into the datastore and go again.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CHART, helmArguments } from './bring-up.ts';
import { NAMESPACE } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';
import { outcomeOf } from './command.ts';

const CI = join(CHART, 'ci');
const KUBERNETES = ['--kube-version', '1.36.0'];

export const exampleFiles = (): readonly string[] => readdirSync(CI);

/** Throws with the API server's words when it does not take an object of the rendered chart. */
export async function dryRun(cluster: Cluster, file: string): Promise<string> {
  const values = ['--values', join(CI, file)];
  // Hooks are made anew each time, never applied over what is there.
  const hooks = ['--no-hooks'];
  const common = ['calico', CHART, '--namespace', NAMESPACE, ...KUBERNETES];
  const objects = await cluster.helm(['template', ...common, ...values, ...hooks]);
  const how = ['--dry-run=server', '--validate=strict', '--filename', '-'];
  return cluster.kubectl(['apply', ...how], objects);
}

/** `helm upgrade` with an example over the cluster's own values. */
export const upgradeWith = (cluster: Cluster, file: string): Promise<string> =>
  cluster.helm([...helmArguments('upgrade'), '--values', join(CI, file), '--wait']);

/** `helm test`, with the log of its pod; a failure too has it, and what became of the pod. */
export async function helmTest(cluster: Cluster): Promise<string> {
  try {
    const how = ['--namespace', NAMESPACE, '--logs', '--timeout', '8m'];
    return await cluster.helm(['test', 'calico', ...how]);
  } catch (cause) {
    const pod = 'calico-connectivity-test';
    const tell = async (...args: string[]): Promise<string> =>
      (await outcomeOf(cluster.kubectl(['-n', NAMESPACE, ...args]))).output;
    const words = [
      cause instanceof Error ? cause.message : String(cause),
      `--- log of ${pod}\n${await tell('logs', pod)}`,
      `--- pod ${pod}\n${await tell('describe', 'pod', pod)}`,
    ];
    throw new Error(words.join('\n'), { cause });
  }
}
