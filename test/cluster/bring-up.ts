// From nothing to a cluster with our chart on it: what `make up` and the cluster tests share.
import { join } from 'node:path';
import { buildImages } from '../../images/build.ts';
import type { Cluster } from './cluster.ts';
import { tryCommand, until } from './command.ts';
import { buildTestImages } from './images.ts';
import { ensurePackages } from './packages.ts';
import type { Progress } from './progress.ts';
import { TOOL_NAMES, toolPath } from './tools.ts';

const ROOT = join(import.meta.dirname, '../..');
export const CHART = join(ROOT, 'charts/calico');
export const VALUES = join(import.meta.dirname, 'values.yaml');
export const NAMESPACE = 'kube-system';

/** Packages, tools, images, cluster, images in it. The nodes are not ready: no CNI yet. */
export async function prepareCluster(cluster: Cluster, progress: Progress): Promise<void> {
  await progress.step('packages', () => ensurePackages());
  await progress.step('tools (Go modules; minutes on a fresh machine)', async () => {
    for (const name of TOOL_NAMES) await toolPath(name);
  });
  const archives = await progress.step('images', async () => [
    ...(await buildTestImages()),
    ...(await buildImages()),
  ]);
  await progress.step('cluster', () => cluster.create((what) => progress.note(what)));
  await progress.step('images loaded into the nodes', () => cluster.loadImages(archives));
}

/** Installs the chart and waits until every part is ready; failures come with the pods' last words. */
export async function installChart(cluster: Cluster, progress: Progress): Promise<void> {
  await progress.step('helm install', () =>
    cluster.helm(['install', 'calico', CHART, '--namespace', NAMESPACE, '-f', VALUES]),
  );
  try {
    await progress.step('calico pods ready', () => calicoReady(cluster));
    await progress.step('nodes Ready', () => nodesReady(cluster));
  } catch (cause) {
    throw new Error(`${String(cause)}\n${await lastWords(cluster)}`);
  }
}

export interface PodRow {
  readonly name: string;
  readonly ready: string;
  readonly status: string;
  readonly restarts: number;
  readonly ip: string;
  readonly node: string;
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly nodeName?: string };
    readonly status: {
      readonly phase?: string;
      readonly podIP?: string;
      readonly containerStatuses?: readonly {
        readonly ready: boolean;
        readonly restartCount: number;
      }[];
    };
  }[];
}

/** The calico pods as `kubectl get pods` shows them. */
export async function calicoPods(cluster: Cluster): Promise<readonly PodRow[]> {
  const list = JSON.parse(
    await cluster.kubectl(['-n', NAMESPACE, 'get', 'pods', '-o', 'json']),
  ) as PodList;
  return list.items
    .filter((pod) => pod.metadata.name.startsWith('calico-'))
    .map((pod) => {
      const statuses = pod.status.containerStatuses ?? [];
      return {
        name: pod.metadata.name,
        ready: `${statuses.filter((s) => s.ready).length}/${statuses.length}`,
        status: pod.status.phase ?? 'Unknown',
        restarts: statuses.reduce((sum, s) => sum + s.restartCount, 0),
        ip: pod.status.podIP ?? '',
        node: pod.spec.nodeName ?? '',
      };
    });
}

/** Pods that must be there: name prefix, ready count, how many. */
const expected = (nodes: number): readonly (readonly [string, string, number])[] => [
  ['calico-etcd-', '1/1', 1],
  ['calico-node-', '2/2', nodes],
  ['calico-kube-controllers-', '1/1', 1],
];

export async function calicoReady(cluster: Cluster, seconds = 120): Promise<void> {
  await until(
    'calico-etcd 1/1, calico-node 2/2 on every node, calico-kube-controllers 1/1',
    seconds,
    async () => {
      const pods = await calicoPods(cluster);
      return expected(cluster.nodes.length).every(([prefix, ready, count]) => {
        const mine = pods.filter(
          (pod) => pod.name.startsWith(prefix) && !pod.name.includes('cleanup'),
        );
        return (
          mine.length === count &&
          mine.every((pod) => pod.ready === ready && pod.status === 'Running')
        );
      });
    },
  );
}

export async function nodesReady(cluster: Cluster, seconds = 60): Promise<void> {
  await until('every node is Ready', seconds, async () => {
    const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}';
    const states = (await cluster.kubectl(['get', 'nodes', '-o', `jsonpath=${path}`]))
      .trim()
      .split(' ');
    return states.length === cluster.nodes.length && states.every((state) => state === 'True');
  });
}

/** What the pods said last: for a failure's message. */
export async function lastWords(cluster: Cluster): Promise<string> {
  const parts = [(await tryCommand(['true'])).output];
  const say = async (args: readonly string[]): Promise<void> => {
    parts.push(
      `$ kubectl ${args.join(' ')}`,
      await cluster.kubectl(args).catch((cause: unknown) => String(cause)),
    );
  };
  await say(['-n', NAMESPACE, 'get', 'pods', '-o', 'wide']);
  for (const pod of await calicoPods(cluster).catch(() => [])) {
    await say(['-n', NAMESPACE, 'logs', pod.name, '--all-containers', '--tail=8', '--prefix']);
  }
  await say([
    '-n',
    NAMESPACE,
    'get',
    'events',
    '--sort-by=.lastTimestamp',
    '--field-selector',
    'type=Warning',
  ]);
  return parts.join('\n');
}
