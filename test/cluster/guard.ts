// The guard behind the rules, on a cluster: others flush them while no agent can put them back.
import type { GuardReport } from '../../src/policy/counters/guard-report.ts';
import { calicoPods, NAMESPACE } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';

const AGENT = '^/usr/local/bin/node .*/opt/calico/agent.mjs';
const CLI = ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'policy', 'guard', '-o', 'json'];

/** Does `work` while the agents of all nodes stand still and the filter tables are empty. */
export async function withFlushedNodes(cluster: Cluster, work: () => Promise<void>): Promise<void> {
  const onEach = async (...argv: string[]): Promise<void> => {
    for (const { name } of cluster.nodes) await cluster.enter(name, argv);
  };
  await onEach('pkill', '-STOP', '-f', AGENT);
  try {
    await onEach('iptables', '-F');
    await work();
  } finally {
    await onEach('pkill', '-CONT', '-f', AGENT);
  }
}

/** What every node tells of its guards: `calico-kit policy guard`. */
export async function guardsOf(cluster: Cluster): Promise<readonly GuardReport[]> {
  const pods = (await calicoPods(cluster)).filter(({ name }) => name.startsWith('calico-node-'));
  const asked = pods.map(({ name }) =>
    cluster.kubectl(['-n', NAMESPACE, 'exec', name, '-c', 'calico-node', '--', ...CLI]),
  );
  const texts = await Promise.all(asked);
  return texts.flatMap((text) => JSON.parse(text) as readonly GuardReport[]);
}
