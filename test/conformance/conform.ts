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
import { SUITE_TOOL_NAMES, toolIsMissing, toolPath } from '../cluster/tools.ts';
import { buildSuiteImage, SUITE_PACKAGES } from './image.ts';
import { parseList, type SpecList } from './specs.ts';

/** The committed lists, by the name that FOCUS takes. */
export const LISTS: readonly string[] = ['netpol', 'services'];

export const readList = (name: string): SpecList =>
  parseList(readFileSync(join(import.meta.dirname, `${name}.specs`), 'utf8'));

/** Whether the suite would have to be built, which takes minutes. */
export const suiteIsMissing = (): boolean => SUITE_TOOL_NAMES.some(toolIsMissing);

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
export async function prepareConformance(cluster: Cluster, progress: Progress): Promise<void> {
  const image = await prepareSuite(progress);
  if (cluster.exists()) {
    progress.note('the cluster that was kept');
    await progress.step('calico pods ready', () => calicoReady(cluster));
    return;
  }
  await prepareCluster(cluster, progress);
  await progress.step('image of the suite in the nodes', () => cluster.loadImages([image]));
  await installChart(cluster, progress);
}

/** Whether the kernel of the nodes has SCTP; loading the module is left to the machine's owner. */
export async function hasSctp(cluster: Cluster): Promise<boolean> {
  const grep = ['grep', '-q', '^SCTP ', '/proc/net/protocols'];
  return (await outcomeOf(cluster.enter(cluster.nodes[0]!.name, grep))).ok;
}
