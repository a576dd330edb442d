// The cluster whose nodes are network namespaces of this machine. Its whole state is one folder;
// whatever is in there, or was left by a crash, `delete` ends and removes.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, ClusterNode } from '../cluster.ts';
import { command, until } from '../command.ts';
import { TOOL_NAMES, toolPath } from '../tools.ts';
import { KUBECONFIG, kubectl, startControlPlane } from './control-plane.ts';
import { makeFabric, removeMachines } from './fabric.ts';
import { inNetns, nodeAddress, nodeName, RUN } from './layout.ts';
import { makeMountPoints, removeMountPoints } from './mount-points.ts';
import { enterNode, removeCgroups, startNode } from './node.ts';
import { Processes } from './processes.ts';
import { shortcut, writeShortcuts } from './shortcuts.ts';

const COMPLETE = join(RUN, 'complete');

export interface ClusterOptions {
  /** Absent: nodes have one. */
  readonly kubeProxy?: boolean;
}

export function netnsCluster(nodeCount = 3, { kubeProxy = true }: ClusterOptions = {}): Cluster {
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
  return {
    nodes,
    kubeconfig: KUBECONFIG,
    tools: TOOL_NAMES,
    hints: [`${shortcut('kubectl')} get pods -A -o wide`, `${shortcut(nodeName(1))} ip route`],
    exists: () => existsSync(COMPLETE),
    create: (progress) => create(processes, numbers, kubeProxy, progress),
    delete: () => remove(processes),
    kubectl,
    helm,
    enter: (node, argv) => enterNode(numberOf(node), processes, argv),
    loadImages: async (archives) => {
      await Promise.all(numbers.map((number) => loadImages(processes, number, archives)));
    },
  };
}

/** Says early what would fail late. */
export function mustBeRoot(): void {
  if (process.getuid?.() !== 0)
    throw new Error('a cluster of network namespaces needs root: run it with sudo');
}

async function create(
  processes: Processes,
  numbers: readonly number[],
  kubeProxy: boolean,
  progress: (what: string) => void,
): Promise<void> {
  await remove(processes);
  mkdirSync(RUN, { recursive: true });
  makeMountPoints();
  await makeFabric();
  await startControlPlane(processes);
  progress('control plane');
  await Promise.all(numbers.map((number) => startNode(number, processes, kubeProxy)));
  await until('all nodes are registered', 60, async () => {
    const names = await kubectl(['get', 'nodes', '-o', 'name']);
    return names.trim().split('\n').filter(Boolean).length === numbers.length;
  });
  await kubectl(['label', 'node', nodeName(1), 'node-role.kubernetes.io/control-plane=']);
  await writeShortcuts(numbers);
  writeFileSync(COMPLETE, '');
  progress(`${numbers.length} nodes registered`);
}

async function remove(processes: Processes): Promise<void> {
  await processes.endAll();
  await removeCgroups();
  await removeMachines();
  removeMountPoints();
  rmSync(RUN, { recursive: true, force: true });
}

async function helm(args: readonly string[]): Promise<string> {
  const binary = await toolPath('helm');
  const inside = [...inNetns('cp'), 'env', `HOME=${RUN}`];
  return command(args, undefined, [...inside, binary, '--kubeconfig', KUBECONFIG]);
}

async function loadImages(
  processes: Processes,
  number: number,
  archives: readonly string[],
): Promise<void> {
  const ctr = [await toolPath('ctr'), '-n', 'k8s.io', 'images', 'import'];
  for (const archive of archives)
    await enterNode(number, processes, [...ctr, '--platform', 'linux/amd64', archive]);
}
