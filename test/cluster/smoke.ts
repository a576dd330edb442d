// `make smoke [CLUSTER=kind]`: a cluster, our images and chart on it, what the demonstration and `helm test`
// say, and the cluster away again. Ends with 1 when anything fails.
import { installChart, prepareCluster, withLastWords } from './bring-up.ts';
import { helmTest } from './chart-values.ts';
import { chosenCluster } from './choose.ts';
import { demonstrate, demonstrated, startDemonstration } from './demonstration.ts';
import { openProgress } from './progress.ts';
import { clusterReport } from './report.ts';

const progress = openProgress();

/** Throws with what failed; the cluster is gone afterwards, unless KEEP is set. */
export async function smoke(cluster = chosenCluster()): Promise<void> {
  try {
    await prepareCluster(cluster, progress);
    await installChart(cluster, progress);
    const shown = await withLastWords(cluster, async () => {
      await progress.step('demonstration pods ready', () => startDemonstration(cluster));
      return progress.step('demonstration', () => demonstrate(cluster));
    });
    const tested = await withLastWords(cluster, () =>
      progress.step('helm test', () => helmTest(cluster)),
    );
    console.log(
      `\n${await clusterReport(cluster)}\n\n${demonstrated(shown)}\n\n${tested.trim()}\n`,
    );
    await progress.step('helm uninstall', () =>
      cluster.helm(['uninstall', 'calico', '--namespace', 'kube-system', '--wait']),
    );
  } finally {
    if (!process.env['KEEP']) await progress.step('cluster removed', () => cluster.delete());
  }
}

if (import.meta.main) {
  try {
    await smoke();
  } catch (cause) {
    console.error(`make smoke failed: ${cause instanceof Error ? cause.message : String(cause)}`);
    process.exitCode = 1;
  }
}
