// `make up`: a cluster with our chart on it and the demonstration; stays until `make down`.
import { installChart, prepareCluster } from './bring-up.ts';
import { demonstrate, startDemonstration } from './demonstration.ts';
import { netnsCluster } from './netns-cluster.ts';
import { openProgress, table } from './progress.ts';
import { clusterReport } from './report.ts';

const cluster = netnsCluster();
const progress = openProgress();
try {
  await prepareCluster(cluster, progress);
  await installChart(cluster, progress);
  await progress.step('demonstration pods ready', () => startDemonstration(cluster));
  const shown = await progress.step('demonstration', () => demonstrate(cluster));
  console.log(`\n${await clusterReport(cluster)}\n`);
  console.log(
    table([
      ['client -> server', `${shown.clientIp} -> ${shown.serverIp}, on two nodes`],
      ['ping', shown.ping],
      ['HTTP', shown.allowed],
      ['HTTP, after NetworkPolicy deny-server', shown.denied],
    ]),
  );
  console.log('\nThe cluster is up. make status shows it, make down removes it. Try:');
  console.log(
    `  nsenter --net=/run/netns/ck-cp ~/.cache/calico-kit/bin/kubectl --kubeconfig ${cluster.kubeconfig} get pods -A -o wide`,
  );
} catch (cause) {
  console.error(`make up failed: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exitCode = 1;
}
