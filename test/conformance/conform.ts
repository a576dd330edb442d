// A cluster with our chart and the suite's image on it, and the suite's answer about it: what
// `make conformance` and the subset of the cluster rung share.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installChart, prepareCluster } from '../cluster/bring-up.ts';
import { calicoReady } from '../cluster/calico-pods.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { outcomeOf } from '../cluster/command.ts';
import { ensurePackages } from '../cluster/packages.ts';
import type { Progress } from '../cluster/progress.ts';
import { CACHE, SUITE_TOOL_NAMES, toolIsMissing, toolPath } from '../cluster/tools.ts';
import { buildSuiteImage, SUITE_PACKAGES } from './image.ts';
import type { Result } from './results.ts';
import { choose, parseList, type SpecList } from './specs.ts';
import { runSpecs } from './suite.ts';

/** Where logs and reports of the suite go. */
export const FOLDER = join(CACHE, 'conformance');

/** The committed lists, by the name that FOCUS takes. */
export const LISTS: readonly string[] = ['netpol', 'services', 'pods'];

export const readList = (name: string): SpecList =>
  parseList(readFileSync(join(import.meta.dirname, `${name}.specs`), 'utf8'));

/** Builds what the suite needs, and answers the archive of its image. */
export async function prepareSuite(progress: Progress): Promise<string> {
  await progress.step('packages of the suite', () => ensurePackages(SUITE_PACKAGES));
  await progress.step('the suite', async () => {
    for (const name of SUITE_TOOL_NAMES.filter(toolIsMissing)) {
      progress.note(`building ${name} from its Go module`);
      await toolPath(name);
    }
  });
  return progress.step('image of the suite', buildSuiteImage);
}

/** The cluster, made unless a kept one is there, with the chart and the suite's image. */
export async function prepareConformance(
  cluster: Cluster,
  progress: Progress,
  ...values: readonly string[]
): Promise<void> {
  const image = await prepareSuite(progress);
  if (cluster.exists()) {
    progress.note('the cluster that was kept');
    await progress.step('calico pods ready', () => calicoReady(cluster));
    return;
  }
  await prepareCluster(cluster, progress);
  await progress.step('image of the suite in the nodes', () => cluster.loadImages([image]));
  await installChart(cluster, progress, ...values);
}

/** Runs the specs that the lists mark `ci` on a cluster that has our chart. */
export async function runSubset(
  cluster: Cluster,
  progress: Progress,
  lists: readonly string[],
): Promise<readonly Result[]> {
  const image = await prepareSuite(progress);
  await progress.step('image of the suite in the nodes', () => cluster.loadImages([image]));
  const names = lists.flatMap((name) => choose(readList(name), { only: ['ci'] }).runs);
  const running = { processes: 3, minutes: 10, folder: join(FOLDER, 'ci'), note: progress.note };
  return progress.step(`${names.length} specs of the suite`, async () => {
    const results = await runSpecs(cluster, names, running);
    return names.map(
      (name) => results.find((result) => result.name === name) ?? notRun(name, results),
    );
  });
}

const notRun = (name: string, others: readonly Result[]): Result => ({
  name,
  state: 'not run',
  seconds: 0,
  message: others.map(({ message }) => message).join('; '),
});

/** Whether the kernel of the nodes has SCTP; loading the module is left to the machine's owner. */
export async function hasSctp(cluster: Cluster): Promise<boolean> {
  const grep = ['grep', '-q', '^SCTP ', '/proc/net/protocols'];
  return (await outcomeOf(cluster.enter(cluster.nodes[0]!.name, grep))).ok;
}
