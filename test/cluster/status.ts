// `make status`: what runs on the cluster.
import { netnsCluster } from './netns/netns-cluster.ts';
import { clusterReport } from './report.ts';

const cluster = netnsCluster();
if (cluster.exists()) console.log(await clusterReport(cluster));
else {
  console.error('no cluster runs here; make up makes one');
  process.exitCode = 1;
}
