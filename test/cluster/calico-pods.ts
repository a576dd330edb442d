// The calico pods of a cluster: their rows, when they are ready, and what they said last.
import type { Cluster } from './cluster.ts';
import { outcomeOf, until } from './command.ts';

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
const expected = (
  nodes: number,
  etcdMembers: number,
): readonly (readonly [string, string, number])[] => [
  ['calico-etcd-', '1/1', etcdMembers],
  ['calico-node-', '2/2', nodes],
  ['calico-kube-controllers-', '1/1', 1],
];

const FIRST_TELL_SECONDS = 15;

export interface Waiting {
  readonly seconds?: number;
  /** One, where it is not told. */
  readonly etcdMembers?: number;
  /** Hears, once each, what keeps the nodes from being ready. */
  readonly note?: (text: string) => void;
}

export async function calicoReady(
  cluster: Cluster,
  { seconds = 120, etcdMembers = 1, note = () => {} }: Waiting = {},
): Promise<void> {
  const tellAfter = performance.now() + FIRST_TELL_SECONDS * 1000;
  const told = new Set<string>();
  const what = 'calico-etcd 1/1, calico-node 2/2 on every node, calico-kube-controllers 1/1';
  await until(what, seconds, async () => {
    const pods = await calicoPods(cluster);
    if (allReady(pods, cluster.nodes.length, etcdMembers)) return true;
    if (performance.now() < tellAfter) return false;
    const reasons = await whyNotReady(cluster);
    for (const reason of reasons) {
      if (!told.has(reason)) note(reason);
      told.add(reason);
    }
    const rows = pods.map((pod) => `${pod.name} ${pod.ready} ${pod.status}`);
    throw new Error([...rows, ...reasons].join('; ')); // the last words, should the time be over
  });
}

const allReady = (pods: readonly PodRow[], nodes: number, etcdMembers: number): boolean =>
  expected(nodes, etcdMembers).every(([prefix, ready, count]) => {
    const mine = pods.filter((pod) => pod.name.startsWith(prefix) && !pod.name.includes('cleanup'));
    const up = mine.filter((pod) => pod.ready === ready && pod.status === 'Running');
    return mine.length === count && up.length === count;
  });

const PROGRAMS = { agent: 9099, speaker: 9098 };

/** What the agents and speakers themselves say is missing, with the nodes where it is. */
export async function whyNotReady(cluster: Cluster): Promise<readonly string[]> {
  const nodesOf = new Map<string, string[]>();
  for (const node of cluster.nodes) {
    for (const [program, port] of Object.entries(PROGRAMS)) {
      const url = `http://127.0.0.1:${port}/readiness`;
      const ask = ['curl', '-s', '-m', '2', '-w', '%{http_code}', url];
      const { ok, output } = await outcomeOf(cluster.enter(node.name, ask));
      if (ok && output.endsWith('200')) continue;
      const reason = `${program}: ${ok ? output.slice(0, -3).trim() : 'does not answer'}`;
      nodesOf.set(reason, [...(nodesOf.get(reason) ?? []), node.name]);
    }
  }
  return [...nodesOf].map(([reason, nodes]) => `${nodes.join(' ')}: ${reason}`);
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
  }
  const reasons = await whyNotReady(cluster).catch((cause: unknown) => [messageOf(cause)]);
  return [...parts, '--- not ready', ...reasons].join('\n');
}

const messageOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : String(cause);
