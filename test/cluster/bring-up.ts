// From nothing to a cluster with our chart on it: what `make up` and the cluster tests share.
import { join } from 'node:path';
import { buildImages } from '../../images/build.ts';
import { calicoReady, lastWords, NAMESPACE, nodesReady } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';
import { buildTestImages } from './images.ts';
import { CLUSTER_PACKAGES, ensurePackages } from './packages.ts';
import type { Progress } from './progress.ts';
import { toolIsMissing, toolPath } from './tools.ts';

const ROOT = join(import.meta.dirname, '../..');
export const CHART = join(ROOT, 'charts/calico');
/** Values files of the chart: the cluster's own, then the user's. */
const VALUES: readonly string[] = [
  join(import.meta.dirname, 'values.yaml'),
  ...(process.env['CALICO_SETTINGS'] ? [process.env['CALICO_SETTINGS']] : []),
];

/** `helm install` or `helm upgrade` of the chart with the cluster's values. */
export const helmArguments = (
  verb: 'install' | 'upgrade',
  ...more: readonly string[]
): readonly string[] => [
  verb,
  'calico',
  CHART,
  '--namespace',
  NAMESPACE,
  ...[...VALUES, ...more].flatMap((file) => ['--values', file]),
];

/** Values with which calico-node does kube-proxy's work. */
export const SERVICE_PROXY_VALUES = join(import.meta.dirname, 'service-proxy-values.yaml');

/** Packages, tools, images, cluster, images in it. The nodes are not ready: no CNI yet. */
export async function prepareCluster(cluster: Cluster, progress: Progress): Promise<void> {
  await progress.step('packages', () => ensurePackages(CLUSTER_PACKAGES));
  await progress.step('tools', () => buildTools(cluster.tools, progress));
  const archives = await progress.step('images', async () => [
    ...(await buildTestImages()),
    ...(await buildImages()),
  ]);
  await progress.step('cluster', () => cluster.create((what) => progress.note(what)));
  await progress.step('images loaded into the nodes', () => cluster.loadImages(archives));
}

async function buildTools(names: readonly string[], progress: Progress): Promise<void> {
  const missing = names.filter(toolIsMissing);
  if (missing.length > 0)
    progress.note(`building ${missing.length} programs from Go modules; minutes, once`);
  for (const name of missing) {
    await toolPath(name);
    progress.note(name);
  }
}

/** Installs the chart and waits until every part is ready; failures come with the pods' last words. */
export async function installChart(
  cluster: Cluster,
  progress: Progress,
  ...values: readonly string[]
): Promise<void> {
  await progress.step('helm install', () => cluster.helm(helmArguments('install', ...values)));
  await withLastWords(cluster, async () => {
    await progress.step('calico pods ready', () => calicoReady(cluster, { note: progress.note }));
    await progress.step('nodes Ready', () => nodesReady(cluster));
  });
}

/** Adds the pods' last words to a failure. */
export async function withLastWords<T>(cluster: Cluster, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${message}\n${await lastWords(cluster)}`, { cause });
  }
}
