// From kube-proxy to calico-node and back on a cluster that runs, as the README describes it, while a pod
// asks a Service without a pause.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CANARY } from '../../src/services/write/plan.ts';
import { helmArguments, SERVICE_PROXY_VALUES } from './bring-up.ts';
import { calicoReady, NAMESPACE } from './calico-pods.ts';
import type { Cluster } from './cluster.ts';
import { outcomeOf, until } from './command.ts';
import { DEMO, podIp } from './demonstration.ts';
import { nodeFolder, RUN } from './netns/layout.ts';
import type { Counted } from './requests.ts';

/**
 * The demonstration's server behind a Service; answers its address once every node translates it.
 * Whoever asks earlier leaves an entry in connection tracking that leads to the address itself,
 * until 120 s after the last SYN (nf_conntrack_tcp_timeout_syn_sent): each later connection from
 * the same local port falls silent, and lengthens that. kube-proxy lets such entries be.
 */
export async function serveDemonstration(cluster: Cluster): Promise<string> {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'server', namespace: DEMO },
    spec: { selector: { app: 'server' }, ports: [{ port: 80, targetPort: 8080 }] },
  };
  await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(service));
  const where = ['-n', DEMO, 'get', 'service', 'server', '-o', 'jsonpath={.spec.clusterIP}'];
  const address = await cluster.kubectl(where);
  const backend = `--to-destination ${await podIp(cluster, 'server')}:8080`;
  for (const { name } of cluster.nodes)
    await until(`${name} translates ${address}`, 30, async () => {
      const rules = await cluster.enter(name, ['iptables-nft-save', '-t', 'nat']);
      return rules.includes(` -d ${address}/32 `) && rules.includes(backend);
    });
  return address;
}

export interface Requests {
  /** Ends them, once there were enough. */
  stop(): Promise<Counted>;
}

/** From the network namespace of the demonstration's pod on a node, at least so many times. */
export async function startRequests(
  cluster: Cluster,
  node: string,
  address: string,
  times: number,
): Promise<Requests> {
  const folder = mkdtempSync(join(RUN, 'requests-'));
  const pid = (await cluster.enter(node, ['pgrep', '-of', '^httpd -f -p 8080'])).trim();
  const program = [process.execPath, join(import.meta.dirname, 'requests.ts')];
  const words = [...program, address, '80', String(times), folder];
  const counting = outcomeOf(cluster.enter(node, ['nsenter', '-t', pid, '-n', ...words]));
  const ended = counting.then(({ output }) => {
    throw new Error(`requests ended early: ${output}`);
  });
  await Promise.race([
    ended,
    until('the first request is answered', 30, async () => existsSync(join(folder, 'running'))),
  ]);
  return {
    async stop() {
      writeFileSync(join(folder, 'stop'), '');
      const { ok, output } = await counting;
      rmSync(folder, { recursive: true });
      if (!ok) throw new Error(output);
      return JSON.parse(output) as Counted;
    },
  };
}

/** Afterwards no node has a kube-proxy, and calico-node serves Services and answers for them. */
export async function takeServicesOver(cluster: Cluster): Promise<void> {
  const takeOver = ['--set', 'serviceProxy.takeOver=true', '--wait'];
  await cluster.helm([...helmArguments('upgrade', SERVICE_PROXY_VALUES), ...takeOver]);
  await calicoReady(cluster);
  for (const { name } of cluster.nodes) await cluster.enter(name, ['pkill', '-x', 'kube-proxy']);
  const health = ['curl', '-sf', '--max-time', '5', 'http://127.0.0.1:10256/healthz'];
  for (const { name } of cluster.nodes)
    await until(`${name} tells of its health`, 20, async () =>
      /"nodeEligible":true,"healthy":true/.test(await cluster.enter(name, health)),
    );
}

/** Afterwards every node has a kube-proxy, which has looked at the rules. */
export async function handServicesBack(cluster: Cluster): Promise<void> {
  await cluster.helm([...helmArguments('upgrade'), '--wait']);
  await calicoReady(cluster);
  for (const [i, { name }] of cluster.nodes.entries()) {
    const config = join(nodeFolder(i + 1), 'etc/kube-proxy.yaml');
    const log = join(nodeFolder(i + 1), 'kube-proxy.log');
    const start = `setsid kube-proxy --config ${config} >>${log} 2>&1 </dev/null &`;
    await cluster.enter(name, ['bash', '-c', start]);
  }
  // What kube-proxy makes to learn of a flush, and calico-node had removed.
  for (const { name } of cluster.nodes)
    await until(`${name} is kube-proxy’s`, 60, async () =>
      (await cluster.enter(name, ['iptables-nft-save', '-t', 'nat'])).includes(CANARY),
    );
}

/** What a node says of its Services: `calico-kit services` in its calico-node. */
export function servicesOf(cluster: Cluster, pod: string): Promise<string> {
  const cli = ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'services'];
  return cluster.kubectl(['-n', NAMESPACE, 'exec', pod, '-c', 'calico-node', '--', ...cli]);
}

const KUBELETS = /^KUBE-(MARK-MASQ|MARK-DROP|FIREWALL|KUBELET-CANARY|IPTABLES-HINT)$/;

/** Chains of services that a node's kernel holds, but for those that kubelet has too. */
export async function serviceChains(cluster: Cluster, node: string): Promise<readonly string[]> {
  const script = 'iptables-nft-save 2>/dev/null; ip6tables-nft-save 2>/dev/null';
  const saved = await cluster.enter(node, ['bash', '-c', script]);
  return [...saved.matchAll(/^:(KUBE-\S+)/gm)]
    .map(([, name]) => name!)
    .filter((name) => !KUBELETS.test(name));
}

/** `helm uninstall` where calico-node serves Services; throws when a node keeps rules of theirs. */
export async function uninstallWithServices(cluster: Cluster): Promise<void> {
  const how = ['--namespace', NAMESPACE, '--wait', '--timeout', '3m'];
  await cluster.helm(['uninstall', 'calico', ...how]);
  for (const { name } of cluster.nodes)
    await until(`${name} has no chain of services`, 60, async () => {
      const left = await serviceChains(cluster, name);
      if (left.length > 0) throw new Error(left.join(' '));
      return true;
    });
}
