// What a person sees of a running cluster: nodes, calico pods, routes.
import { calicoPods } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';
import { routesOf } from './demonstration.ts';
import { table } from './progress.ts';

export async function clusterReport(cluster: Cluster): Promise<string> {
  const nodes = await cluster.kubectl([
    'get',
    'nodes',
    '-o',
    'custom-columns=NAME:.metadata.name,' +
      'READY:.status.conditions[?(@.type=="Ready")].status,ADDRESS:.status.addresses[0].address,' +
      'VERSION:.status.nodeInfo.kubeletVersion',
  ]);
  const pods = (await calicoPods(cluster)).map((p) => [
    p.name,
    p.ready,
    p.status,
    String(p.restarts),
    p.ip,
    p.node,
  ]);
  const routes: string[] = [];
  for (const { name } of cluster.nodes) {
    const lines = (await routesOf(cluster, name))
      .trim()
      .split('\n')
      .map((line) => `  ${line.trimEnd()}`);
    routes.push(`routes of ${name}`, ...lines);
  }
  return [
    nodes.trimEnd(),
    '',
    table([['POD', 'READY', 'STATUS', 'RESTARTS', 'IP', 'NODE'], ...pods]),
    '',
    ...routes,
  ].join('\n');
}
