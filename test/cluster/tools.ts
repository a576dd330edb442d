// The binaries that tests and the cluster need, built from Go modules into the cache on demand:
// `toolPath('etcd')`, or `node test/cluster/tools.ts NAME...` (no name: all). A stamp beside each
// binary holds its version and flags, so that nothing is built twice.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { kubernetesModule } from './kubernetes-module.ts';
import { locked } from './lock.ts';

const execute = promisify(execFile);

export const CACHE = process.env['CALICO_KIT_CACHE'] || join(homedir(), '.cache/calico-kit');
export const BIN = join(CACHE, 'bin');
export const KUBERNETES_VERSION = 'v1.36.3';

interface Tool {
  /** Folder of the throw-away module; tools of one module share it. */
  readonly module: string;
  readonly requires: string;
  readonly main: string;
  readonly tags?: string;
  readonly ldflags?: string;
  /** A test binary (`go test -c`) instead of a program. */
  readonly test?: true;
}

const ETCD = 'v3.6.8';
const CONTAINERD = 'v2.2.1';
const PLUGINS = 'v1.9.1';
const HELM = 'v3.22.0';
const CONTAINERD_PATH = 'github.com/containerd/containerd/v2';

const plugin = (path: string): Tool => ({
  module: 'plugins',
  requires: `github.com/containernetworking/plugins@${PLUGINS}`,
  main: `github.com/containernetworking/plugins/plugins/${path}`,
});

const containerd = (command: string, tags: string): Tool => ({
  module: 'containerd',
  requires: `${CONTAINERD_PATH}@${CONTAINERD}`,
  main: `${CONTAINERD_PATH}/cmd/${command}`,
  tags,
  ldflags: `-X ${CONTAINERD_PATH}/version.Version=${CONTAINERD}`,
});

// Without these the server calls itself v0.0.0-master+$Format:%H$, which Helm and kubectl refuse.
const kubernetesFlags = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  .map(
    (p) =>
      `-X ${p}.gitVersion=${KUBERNETES_VERSION} -X ${p}.gitMajor=1 -X ${p}.gitMinor=36 -X ${p}.gitTreeState=clean`,
  )
  .join(' ');

const kubernetes = (command: string): Tool => ({
  module: 'kubernetes',
  requires: `k8s.io/kubernetes@${KUBERNETES_VERSION}`,
  main: `k8s.io/kubernetes/cmd/${command}`,
  ldflags: kubernetesFlags,
});

const KUBERNETES_COMMANDS = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubeadm',
  'kubectl',
];

/** Every tool by the name of its binary; cheap and widely needed ones first. */
const TOOLS: Readonly<Record<string, Tool>> = {
  etcd: {
    module: 'etcd',
    requires: `go.etcd.io/etcd/server/v3@${ETCD}`,
    main: 'go.etcd.io/etcd/server/v3',
  },
  etcdctl: {
    module: 'etcdctl',
    requires: `go.etcd.io/etcd/etcdctl/v3@${ETCD}`,
    main: 'go.etcd.io/etcd/etcdctl/v3',
  },
  etcdutl: {
    module: 'etcdutl',
    requires: `go.etcd.io/etcd/etcdutl/v3@${ETCD}`,
    main: 'go.etcd.io/etcd/etcdutl/v3',
  },
  loopback: plugin('main/loopback'),
  ptp: plugin('main/ptp'),
  bridge: plugin('main/bridge'),
  'host-local': plugin('ipam/host-local'),
  portmap: plugin('meta/portmap'),
  bandwidth: plugin('meta/bandwidth'),
  ...Object.fromEntries(KUBERNETES_COMMANDS.map((command) => [command, kubernetes(command)])),
  containerd: containerd('containerd', 'no_btrfs,no_zfs'),
  'containerd-shim-runc-v2': containerd('containerd-shim-runc-v2', 'no_btrfs'),
  ctr: containerd('ctr', 'no_btrfs'),
  helm: { module: 'helm', requires: `helm.sh/helm/v3@${HELM}`, main: 'helm.sh/helm/v3/cmd/helm' },
};

export const TOOL_NAMES: readonly string[] = Object.keys(TOOLS);

const SUITE_PACKAGES = {
  agnhost: 'k8s.io/kubernetes/test/images/agnhost',
  ginkgo: 'github.com/onsi/ginkgo/v2/ginkgo',
  'e2e.test': 'k8s.io/kubernetes/test/e2e',
};

const suite = (name: keyof typeof SUITE_PACKAGES): Tool => ({
  module: 'kubernetes-suite',
  requires: `k8s.io/kubernetes@${KUBERNETES_VERSION}`,
  main: SUITE_PACKAGES[name],
  ldflags: kubernetesFlags,
});

/** Kubernetes' own e2e suite: what only test/conformance needs. Ginkgo is of the suite's version, or refuses it. */
const SUITE_TOOLS: Readonly<Record<string, Tool>> = {
  agnhost: suite('agnhost'),
  ginkgo: suite('ginkgo'),
  'e2e.test': { ...suite('e2e.test'), test: true },
};

export const SUITE_TOOL_NAMES: readonly string[] = Object.keys(SUITE_TOOLS);

const COREDNS = 'v1.14.7';
const KIND = 'v0.33.0';
const PROMETHEUS = 'v0.316.0';
const KUBECONFORM = 'v0.8.0';

/** What only some specs of the suite, some tests of the chart, or a cluster by kind need. */
const EXTRA_TOOLS: Readonly<Record<string, Tool>> = {
  promtool: {
    module: 'promtool',
    requires: `github.com/prometheus/prometheus@${PROMETHEUS}`,
    main: 'github.com/prometheus/prometheus/cmd/promtool',
    // Without the clients of every cloud that it could discover targets in.
    tags: 'remove_all_sd',
  },
  kubeconform: {
    module: 'kubeconform',
    requires: `github.com/yannh/kubeconform@${KUBECONFORM}`,
    main: 'github.com/yannh/kubeconform/cmd/kubeconform',
  },
  coredns: {
    module: 'coredns',
    requires: `github.com/coredns/coredns@${COREDNS}`,
    main: 'github.com/coredns/coredns',
  },
  kind: { module: 'kind', requires: `sigs.k8s.io/kind@${KIND}`, main: 'sigs.k8s.io/kind' },
};

/** Whether a call of toolPath would build for a while. */
export const toolIsMissing = (name: string): boolean => !upToDate(name);

/** Modules that need the staging replaces, with the packages built from them. */
const KUBERNETES_PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  kubernetes: KUBERNETES_COMMANDS.map((command) => `k8s.io/kubernetes/cmd/${command}`),
  'kubernetes-suite': Object.values(SUITE_PACKAGES),
};

const building = new Map<string, Promise<string>>();
/** One module is prepared and built at a time: Go uses every core by itself. */
let turn: Promise<unknown> = Promise.resolve();

/** Path of a tool's binary; builds it first when it is missing or of another version. */
export function toolPath(name: string): Promise<string> {
  let path = building.get(name);
  if (!path) {
    const previous = turn;
    path = upToDate(name) ? Promise.resolve(join(BIN, name)) : previous.then(() => build(name));
    turn = path.catch(() => {});
    building.set(name, path);
  }
  return path;
}

/** Where Go keeps the sources of the module that a tool is built from. */
export async function moduleFolder(tool: string, module: string): Promise<string> {
  await toolPath(tool);
  const list = ['list', '-mod=mod', '-m', '-f', '{{.Dir}}', module];
  const { stdout } = await execute('go', list, { cwd: join(CACHE, 'mod', toolOf(tool).module) });
  return stdout.trim();
}

const toolOf = (name: string): Tool => {
  const all = { ...TOOLS, ...SUITE_TOOLS, ...EXTRA_TOOLS };
  const tool = all[name];
  if (!tool) throw new Error(`unknown tool '${name}'; known: ${Object.keys(all).join(', ')}`);
  return tool;
};

const stampOf = (name: string): string => JSON.stringify(toolOf(name));

function upToDate(name: string): boolean {
  const stamp = join(BIN, `.${name}.stamp`);
  return (
    existsSync(join(BIN, name)) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === stampOf(name)
  );
}

async function build(name: string): Promise<string> {
  mkdirSync(BIN, { recursive: true });
  await locked(join(BIN, '.lock'), async () => {
    if (!upToDate(name)) await compile(name); // else another process built it meanwhile
  });
  return join(BIN, name);
}

async function compile(name: string): Promise<void> {
  const tool = toolOf(name);
  const folder = join(CACHE, 'mod', tool.module);
  await prepare(tool, folder);
  const out = join(BIN, name);
  const unfinished = `${out}.${process.pid}`;
  const tags = tool.tags ? ['-tags', tool.tags] : [];
  const ldflags = `-s -w ${tool.ldflags ?? ''}`.trim();
  try {
    await go(folder, [
      ...(tool.test ? ['test', '-c'] : ['build']),
      '-trimpath',
      '-ldflags',
      ldflags,
      ...tags,
      '-o',
      unfinished,
      tool.main,
    ]);
    renameSync(unfinished, out);
  } finally {
    rmSync(unfinished, { force: true });
  }
  writeFileSync(join(BIN, `.${name}.stamp`), stampOf(name));
}

// A module of our own that requires the tool's module: Go builds its main packages from there.
async function prepare(tool: Tool, folder: string): Promise<void> {
  const done = join(folder, '.requires');
  if (existsSync(done) && readFileSync(done, 'utf8') === tool.requires) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const programs = KUBERNETES_PROGRAMS[tool.module];
  if (programs) {
    writeFileSync(join(folder, 'go.mod'), await kubernetesModule(KUBERNETES_VERSION, programs));
    await go(folder, ['mod', 'tidy']);
  } else {
    writeFileSync(join(folder, 'go.mod'), `module example.org/${tool.module}\n\ngo 1.26.0\n`);
    await go(folder, ['get', tool.requires]);
  }
  writeFileSync(done, tool.requires);
}

async function go(cwd: string, args: readonly string[]): Promise<void> {
  const env = {
    ...process.env,
    CGO_ENABLED: '0',
    GOFLAGS: '-buildvcs=false -mod=mod',
    GOWORK: 'off',
  };
  try {
    await execute('go', args, { cwd, env, maxBuffer: 1 << 26 });
  } catch (cause) {
    const { stderr, code } = cause as { stderr?: string; code?: unknown };
    if (code === 'ENOENT') throw new Error('Go is not installed: put Go 1.26 or newer in PATH');
    throw new Error(`go ${args.join(' ')}: ${stderr?.slice(-2000) ?? String(cause)}`);
  }
}

if (import.meta.main) {
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : TOOL_NAMES) {
    const started = performance.now();
    await toolPath(name);
    console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)}s ${name}`);
  }
}
