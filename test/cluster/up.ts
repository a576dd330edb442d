// `make up [CLUSTER=kind]`: a cluster with our chart on it and the demonstration; stays until `make down`.

import { installChart, prepareCluster, withLastWords } from './bring-up.ts';
import { chosenCluster } from './choose.ts';
import { demonstrate, demonstrated, startDemonstration } from './demonstration.ts';
import { openProgress } from './progress.ts';
import { clusterReport } from './report.ts';

const cluster = chosenCluster();
const progress = openProgress();

async function up(): Promise<void> {
  await prepareCluster(cluster, progress);
  await installChart(cluster, progress);
  const shown = await withLastWords(cluster, async () => {
    await progress.step('demonstration pods ready', () => startDemonstration(cluster));
    return progress.step('demonstration', () => demonstrate(cluster));
  });
  console.log(`\n${await clusterReport(cluster)}\n\n${demonstrated(shown)}\n`);
  console.log('The cluster stays up: `make status` shows it, `make down` removes it. Try:');
  for (const hint of cluster.hints) console.log(`  ${hint}`);
}

try {
  await up();
} catch (cause) {
  console.error(`make up failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  console.error('What came up stays for a look; `make down` removes it.');
  process.exitCode = 1;
}
