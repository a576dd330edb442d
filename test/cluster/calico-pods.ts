// The calico pods of a cluster: their rows, when they are ready, and what they said last.
import type { Cluster } from './cluster.ts';
import { until } from './command.ts';

export const NAMESPACE = 'kube-system';

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

/** What pods, events and readiness texts said last: for a failure's message. */
export async function lastWords(cluster: Cluster): Promise<string> {
  const tell = async (title: string, work: Promise<string>): Promise<string> =>
    `--- ${title}\n${(await work.catch(messageOf)).trimEnd()}`;
  const kubectl = (...args: string[]): Promise<string> =>
    tell(`kubectl ${args.join(' ')}`, cluster.kubectl(['-n', NAMESPACE, ...args]));
  const parts = [
    await kubectl('get', 'pods', '-o', 'wide'),
    await kubectl('get', 'events', '--field-selector=type=Warning', '--sort-by=.lastTimestamp'),
  ];
  for (const pod of await calicoPods(cluster).catch(() => [])) {
    parts.push(await kubectl('logs', pod.name, '--all-containers', '--tail=8', '--prefix'));
    for (const port of pod.name.startsWith('calico-node-') && pod.node ? [9099, 9098] : []) {
      const url = `http://127.0.0.1:${port}/readiness`;
      const asked = cluster.enter(pod.node, ['curl', '-s', '-m', '2', url]);
      parts.push(await tell(`${pod.node}: ${url}`, asked));
    }
  }
  return parts.join('\n');
}

const messageOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause);
