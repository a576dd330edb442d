// `make status`: what runs on the cluster.
import { chosenCluster } from './choose.ts';
import { clusterReport } from './report.ts';

const cluster = chosenCluster();
if (cluster.exists()) console.log(await clusterReport(cluster));
else {
  console.error('no cluster runs here; make up makes one');
  process.exitCode = 1;
}
