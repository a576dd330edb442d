// The cluster as kind makes it: a control plane and a worker as containers. On a machine with a Docker
// engine it is kind as everybody uses it, with its stock node image; without one, engine and node image
// are ours (engine.ts, node-image.ts).
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, ClusterNode } from '../cluster.ts';
import { command } from '../command.ts';
import { POD_CIDR, PREFIX, SERVICE_CIDR } from '../netns/layout.ts';
import { toolPath } from '../tools.ts';
import { type Engine, ensureEngine, findEngine, RUN, removeEngine } from './engine.ts';
import { NODE_IMAGE, nodeRoot } from './node-image.ts';

const KUBECONFIG = join(RUN, 'kubeconfig');
/** `kubectl` for people, where its engine may be hidden in a network namespace. */
const SHORTCUT = join(RUN, 'kubectl');
const COMPLETE = join(RUN, 'complete');
const NODES: readonly ClusterNode[] = [
  { name: `${PREFIX}-control-plane`, address: '' },
  { name: `${PREFIX}-worker`, address: '' },
];

const CONFIGURATION = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCNI: true
  ipFamily: ipv4
  podSubnet: ${POD_CIDR}
  serviceSubnet: ${SERVICE_CIDR}
nodes:
- role: control-plane
- role: worker
`;

// cgroup v1 is refused by default since Kubernetes 1.35 (preflight is what kind itself skips), and the
// local image has no DNS server.
const LOCAL_PATCHES = `kubeadmConfigPatches:
- |
  kind: KubeletConfiguration
  failCgroupV1: false
  cgroupDriver: cgroupfs
- |
  kind: InitConfiguration
  skipPhases: [preflight, addon/coredns]
`;

export function kindCluster(): Cluster {
  return {
    nodes: NODES,
    kubeconfig: KUBECONFIG,
    tools: ['kind', 'kubectl', 'helm'],
    hints: [`${SHORTCUT} get pods -A -o wide`, `${SHORTCUT} get nodes`],
    exists: () => existsSync(COMPLETE),
    create,
    delete: remove,
    kubectl: (args, input) => withConfig('kubectl', args, input),
    helm: (args) => withConfig('helm', args),
    enter: async (node, argv) =>
      command(['docker', 'exec', node, ...argv], undefined, (await engine()).prefix),
    loadImages: async (archives) => {
      for (const archive of archives) await kind('load', 'image-archive', archive);
    },
  };
}

async function engine(): Promise<Engine> {
  const found = await findEngine();
  if (!found) throw new Error('no Docker engine answers; make up CLUSTER=kind starts one');
  return found;
}

const withName = ['--name', PREFIX];

async function kind(...args: string[]): Promise<string> {
  const argv = [await toolPath('kind'), ...args, ...withName];
  return command(argv, undefined, (await engine()).prefix);
}

async function withConfig(tool: string, args: readonly string[], input?: string): Promise<string> {
  const inside = [...(await engine()).prefix, 'env', `HOME=${RUN}`, await toolPath(tool)];
  return command(args, input, [...inside, '--kubeconfig', KUBECONFIG]);
}

async function create(progress: (what: string) => void): Promise<void> {
  await remove();
  const { isOurs, prefix } = await ensureEngine();
  mkdirSync(RUN, { recursive: true });
  progress(
    isOurs ? 'Docker engine in a network namespace of its own' : "this machine's Docker engine",
  );
  const image = isOurs ? await importNodeImage(prefix) : [];
  if (isOurs) progress('node image');
  const file = join(RUN, 'kind.yaml');
  writeFileSync(file, CONFIGURATION + (isOurs ? LOCAL_PATCHES : ''));
  await kind('create', 'cluster', '--config', file, '--kubeconfig', KUBECONFIG, ...image);
  const kubectl = [...prefix, await toolPath('kubectl'), '--kubeconfig', KUBECONFIG];
  writeFileSync(SHORTCUT, `#!/bin/sh\nexec ${kubectl.join(' ')} "$@"\n`, { mode: 0o755 });
  writeFileSync(COMPLETE, '');
  progress(`${NODES.length} nodes registered`);
}

async function importNodeImage(prefix: readonly string[]): Promise<readonly string[]> {
  const changes = [
    'ENV container=docker',
    'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
  ].flatMap((change) => ['--change', change]);
  const pipe = ['bash', '-c', 'tar -C "$0" -c . | docker import "$@"', await nodeRoot()];
  await command([...pipe, ...changes, '-', NODE_IMAGE], undefined, prefix);
  return ['--image', NODE_IMAGE];
}

async function remove(): Promise<void> {
  const found = await findEngine();
  if (found && existsSync(RUN)) {
    const argv = [await toolPath('kind'), 'delete', 'cluster', ...withName];
    await command(argv, undefined, found.prefix).catch(() => {}); // removed with its engine
  }
  if (existsSync(RUN)) await removeEngine();
  rmSync(RUN, { recursive: true, force: true });
}
