// The cluster whose nodes are network namespaces of this machine.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, ClusterNode } from './cluster.ts';
import { command, until } from './command.ts';
import { KUBECONFIG, kubectl, startControlPlane } from './control-plane.ts';
import { makeFabric, removeMachines } from './fabric.ts';
import { inNetns, nodeAddress, nodeName, RUN } from './layout.ts';
import { enterNode, removeCgroups, startNode } from './node.ts';
import { Processes } from './processes.ts';
import { toolPath } from './tools.ts';

const COMPLETE = join(RUN, 'complete');

export function netnsCluster(nodeCount = 3): Cluster {
  const processes = new Processes(RUN);
  const numbers = Array.from({ length: nodeCount }, (_, i) => i + 1);
  const nodes: readonly ClusterNode[] = numbers.map((n) => ({
    name: nodeName(n),
    address: nodeAddress(n),
  }));
  const numberOf = (node: string): number => {
    const index = nodes.findIndex(({ name }) => name === node);
    if (index < 0)
      throw new Error(`no node ${node}; nodes: ${nodes.map((n) => n.name).join(', ')}`);
    return index + 1;
  };
  const remove = async (): Promise<void> => {
    const names = processes.names();
    await processes.end(
      names.filter((name) => /^n\d+$/.test(name)),
      0,
    );
    await processes.end(names);
    for (let number = 1; number <= Math.max(nodeCount, names.length); number++)
      await removeCgroups(nodeName(number));
    await removeMachines();
    rmSync(RUN, { recursive: true, force: true });
  };
  return {
    nodes,
    kubeconfig: KUBECONFIG,
    exists: () => existsSync(COMPLETE),
    delete: remove,
    kubectl: (args, input) => kubectl(args, input),
    helm: async (args) =>
      command([
        ...inNetns('cp'),
        'env',
        `HOME=${RUN}`,
        await toolPath('helm'),
        '--kubeconfig',
        KUBECONFIG,
        ...args,
      ]),
    enter: (node, argv) => enterNode(numberOf(node), processes, argv),
    loadImages: async (archives) => {
      const ctr = await toolPath('ctr');
      const load = (number: number, archive: string): Promise<string> =>
        enterNode(number, processes, [
          ctr,
          '-n',
          'k8s.io',
          'images',
          'import',
          '--platform',
          'linux/amd64',
          archive,
        ]);
      await Promise.all(
        numbers.map(async (number) => {
          for (const archive of archives) await load(number, archive);
        }),
      );
    },
    create: async (progress) => {
      await remove();
      mkdirSync(RUN, { recursive: true });
      await makeFabric();
      await startControlPlane(processes);
      progress('control plane');
      await Promise.all(numbers.map((number) => startNode(number, processes)));
      await until('all nodes are registered', 60, async () => {
        const names = await kubectl(['get', 'nodes', '-o', 'name']);
        return names.trim().split('\n').filter(Boolean).length === nodeCount;
      });
      await kubectl(['label', 'node', nodeName(1), 'node-role.kubernetes.io/control-plane=']);
      writeFileSync(COMPLETE, '');
      progress(`${nodeCount} nodes registered`);
    },
  };
}
