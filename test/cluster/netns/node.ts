// A node: containerd, kubelet and kube-proxy in a machine's network namespace, with mount, pid, uts
// and ipc namespaces of its own. Its init is node-init; ending it ends every pod of the node.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { command, until } from '../command.ts';
import { BIN, toolPath } from '../tools.ts';
import { userConfig } from './control-plane.ts';
import { makeMachine } from './fabric.ts';
import {
  DNS_ADDRESS,
  inNetns,
  NODE_NAME,
  nodeAddress,
  nodeFolder,
  nodeMachine,
  nodeName,
  PAUSE_IMAGE,
  PKI,
  POD_CIDR,
} from './layout.ts';
import { OWN_FOLDERS } from './mount-points.ts';
import { childrenOf, type Processes } from './processes.ts';

const FOLDERS = [...Object.keys(OWN_FOLDERS), 'tmp', 'etc', 'sysctl', 'cg'];

export async function startNode(
  number: number,
  processes: Processes,
  kubeProxy: boolean,
): Promise<void> {
  const [machine, folder] = [nodeMachine(number), nodeFolder(number)];
  for (const sub of FOLDERS) mkdirSync(join(folder, sub), { recursive: true });
  await makeMachine(machine, nodeAddress(number));
  await writeConfigurations(number);
  makeCgroups(nodeName(number));
  await command(['cp', await toolPath('loopback'), join(folder, 'cni-bin/')]);
  const binaries = ['containerd', 'containerd-shim-runc-v2', 'ctr', 'kubelet', 'kube-proxy'];
  await Promise.all(binaries.map(toolPath));
  const unshare = [
    'unshare',
    '--mount',
    '--uts',
    '--ipc',
    '--pid',
    '--fork',
    '--kill-child',
    '--propagation',
    'private',
  ];
  const init = join(import.meta.dirname, 'node-init');
  processes.start(
    machine,
    [
      ...inNetns(machine),
      ...unshare,
      init,
      nodeName(number),
      folder,
      nodeAddress(number),
      ...Object.entries(OWN_FOLDERS).map(([own, place]) => `${own}=${place}`),
    ],
    {
      ...process.env,
      TMPDIR: join(folder, 'tmp'),
      PATH: `${BIN}:${process.env['PATH']}`,
      KUBE_PROXY: kubeProxy ? 'yes' : 'no',
    },
  );
  await until(`containerd of ${nodeName(number)}`, 30, async () => {
    await enterNode(number, processes, [await toolPath('ctr'), 'version']);
    return true;
  });
}

/** Runs a command inside the node. */
export function enterNode(
  number: number,
  processes: Processes,
  argv: readonly string[],
): Promise<string> {
  const outer = processes.pidOf(nodeMachine(number));
  if (outer === undefined) throw new Error(`${nodeName(number)} does not run`);
  const [init] = childrenOf(outer);
  if (init === undefined) throw new Error(`${nodeName(number)} has no init`);
  const inside = ['nsenter', '-t', String(init), '-m', '-u', '-i', '-n', '-p'];
  const path = `PATH=${BIN}:${process.env['PATH']}`;
  // Its input is a socket: an outermost bash would take that for a remote login and read ~/.bashrc.
  return command(argv, undefined, [...inside, 'env', path, 'SHLVL=1']);
}

async function writeConfigurations(number: number): Promise<void> {
  const etc = join(nodeFolder(number), 'etc');
  const name = nodeName(number);
  const write = (file: string, text: string): void => writeFileSync(join(etc, file), text);
  write('kubelet.conf', await userConfig(`system:node:${name}`, 'system:nodes'));
  write('kube-proxy.conf', await userConfig('system:kube-proxy'));
  write('resolv.conf', '');
  write('kubelet.yaml', kubeletConfiguration(name, etc));
  write('kube-proxy.yaml', proxyConfiguration(name, etc));
  write('containerd.toml', CONTAINERD);
}

const kubeletConfiguration = (
  name: string,
  etc: string,
): string => `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /${name}
enforceNodeAllocatable: []
failSwapOn: false
authentication: {x509: {clientCAFile: ${PKI}/ca.crt}, anonymous: {enabled: false}, webhook: {enabled: true}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [${DNS_ADDRESS}]
clusterDomain: cluster.local
resolvConf: ${etc}/resolv.conf
imageMinimumGCAge: 24h
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi}
syncFrequency: 10s
fileCheckFrequency: 0s
maxPods: 110
`;

// Never touch the machine-wide conntrack limits.
const proxyConfiguration = (
  name: string,
  etc: string,
): string => `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: ${POD_CIDR}
hostnameOverride: ${name}
clientConnection: {kubeconfig: ${etc}/kube-proxy.conf}
conntrack: {maxPerCore: 0, min: 0}
iptables: {minSyncPeriod: 0.2s}
`;

const CONTAINERD = `version = 3
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
`;

const CGROUPS = '/sys/fs/cgroup';

// The kubelet's root must exist in every hierarchy (v1), or once with its controllers (v2).
function makeCgroups(name: string): void {
  if (existsSync(join(CGROUPS, 'cgroup.controllers'))) {
    for (const controller of readFileSync(join(CGROUPS, 'cgroup.controllers'), 'utf8')
      .trim()
      .split(' ')) {
      writeFileSync(join(CGROUPS, 'cgroup.subtree_control'), `+${controller}`);
    }
    mkdirSync(join(CGROUPS, name), { recursive: true });
    return;
  }
  for (const hierarchy of readdirSync(CGROUPS)) {
    if (existsSync(join(CGROUPS, hierarchy, 'cgroup.procs')))
      mkdirSync(join(CGROUPS, hierarchy, name), { recursive: true });
  }
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const value = readFileSync(join(CGROUPS, 'cpuset', file), 'utf8');
    writeFileSync(join(CGROUPS, 'cpuset', name, file), value);
  }
}

const isNodes = (name: string): boolean => NODE_NAME.test(name);

/** Removes the cgroups of every node, or of other names, once the processes are gone. */
export async function removeCgroups(isOurs = isNodes): Promise<void> {
  const parents = [CGROUPS, ...readdirSync(CGROUPS).map((name) => join(CGROUPS, name))];
  const roots = parents
    .filter((folder) => existsSync(join(folder, 'cgroup.procs')))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter(isOurs)
        .map((name) => join(folder, name)),
    );
  for (const root of roots) {
    await until(`cgroup ${root} is empty`, 10, async () => {
      removeTree(root);
      return !existsSync(root);
    });
  }
}

function removeTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  }
  rmdirSync(folder);
}
