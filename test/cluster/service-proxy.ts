// From kube-proxy to calico-node on a cluster that runs, as the README describes it: the chart with
// takeOver, kube-proxy gone, the chart without takeOver.
import { helmArguments, SERVICE_PROXY_VALUES } from './bring-up.ts';
import { calicoReady } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';
import { outcomeOf } from './command.ts';

/** Helm's values of a cluster whose Services calico-node serves. */
export const servingArguments = (...set: readonly string[]): readonly string[] => [
  ...helmArguments('upgrade', SERVICE_PROXY_VALUES),
  ...set.flatMap((one) => ['--set', one]),
  '--wait',
];

/** Afterwards no node has a kube-proxy. */
export async function takeServicesOver(cluster: Cluster): Promise<void> {
  await cluster.helm(servingArguments('serviceProxy.takeOver=true'));
  await calicoReady(cluster);
  for (const { name } of cluster.nodes) await cluster.enter(name, ['pkill', '-x', 'kube-proxy']);
  await cluster.helm(servingArguments());
  await calicoReady(cluster);
}

/** What a node says of its Services: `calico-kit services` in its calico-node. */
export async function servicesOf(cluster: Cluster, pod: string): Promise<string> {
  const cli = ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'services'];
  return cluster.kubectl(['-n', 'kube-system', 'exec', pod, '-c', 'calico-node', '--', ...cli]);
}

/** Chains of services that a node's kernel holds, but for those that kubelet has too. */
export async function serviceChains(cluster: Cluster, node: string): Promise<readonly string[]> {
  const script = 'iptables-nft-save 2>/dev/null; ip6tables-nft-save 2>/dev/null';
  const { output } = await outcomeOf(cluster.enter(node, ['bash', '-c', script]));
  return [...output.matchAll(/^:(KUBE-\S+)/gm)]
    .map(([, name]) => name!)
    .filter((name) => !/^KUBE-(MARK-MASQ|MARK-DROP|FIREWALL|KUBELET-CANARY)$/.test(name));
}
