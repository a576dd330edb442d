// `make up`: a cluster with our chart on it and the demonstration; stays until `make down`.
import { installChart, prepareCluster, withLastWords } from './bring-up.ts';
import { type Demonstration, demonstrate, startDemonstration } from './demonstration.ts';
import { mustBeRoot, netnsCluster } from './netns/netns-cluster.ts';
import { shortcut } from './netns/shortcuts.ts';
import { openProgress, table } from './progress.ts';
import { clusterReport } from './report.ts';

const cluster = netnsCluster();
const progress = openProgress();

async function up(): Promise<void> {
  mustBeRoot();
  await prepareCluster(cluster, progress);
  await installChart(cluster, progress);
  const shown = await withLastWords(cluster, async () => {
    await progress.step('demonstration pods ready', () => startDemonstration(cluster));
    return progress.step('demonstration', () => demonstrate(cluster));
  });
  console.log(`\n${await clusterReport(cluster)}\n\n${demonstrated(shown)}\n`);
  console.log('The cluster stays up: `make status` shows it, `make down` removes it. Try:');
  console.log(`  ${shortcut('kubectl')} get pods -A -o wide`);
  console.log(`  ${shortcut(cluster.nodes[0]!.name)} ip route`);
}

const demonstrated = (shown: Demonstration): string =>
  table([
    ['CLIENT -> SERVER', `${shown.clientIp} -> ${shown.serverIp}, on two nodes`],
    ['ping', shown.ping],
    ['HTTP', shown.allowed],
    ['HTTP after NetworkPolicy deny-server', shown.denied],
  ]);

try {
  await up();
} catch (cause) {
  console.error(`make up failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  console.error('What came up stays for a look; `make down` removes it.');
  process.exitCode = 1;
}
