// A cluster that never had a kube-proxy: calico-node serves Services from the beginning, and an uninstall
// leaves none of their rules.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runSubset } from '../conformance/conform.ts';
import { installChart, prepareCluster, SERVICE_PROXY_VALUES } from './bring-up.ts';
import { lastWords } from './calico-pods.ts';
import { mustBeRoot, netnsCluster } from './netns/netns-cluster.ts';
import { openProgress } from './progress.ts';
import { uninstallWithServices } from './service-proxy.ts';

const cluster = netnsCluster(3, { kubeProxy: false });
const progress = openProgress((line) => console.error(line));

describe('Services without a kube-proxy', { timeout: 900_000 }, () => {
  before(async () => {
    mustBeRoot();
    await prepareCluster(cluster, progress);
    await installChart(cluster, progress, SERVICE_PROXY_VALUES);
  });
  after(() => cluster.delete());

  test('Service specs of Kubernetes’ own suite', { timeout: 600_000 }, async () => {
    const results = await runSubset(cluster, progress, ['services']);
    assert.ok(results.length > 0);
    const failed = results.filter(({ state }) => state !== 'passed');
    if (failed.length > 0) console.log(await lastWords(cluster));
    assert.deepEqual(failed, []);
  });

  test('an uninstall leaves no rule of Services', { timeout: 300_000 }, () =>
    uninstallWithServices(cluster),
  );
});
