// Hosts that carry members of calico-etcd: a network namespace each, joined by a bridge in a further one,
// where an API server listens. What runs on them are the commands of the rendered DaemonSet, word by
// word; only places on the disk are others.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Json } from '../../src/base/json.ts';
import { manifests } from '../../src/deploy/manifests.ts';
import { settingsFrom } from '../../src/model/settings/settings.ts';
import { toolPath } from '../cluster/tools.ts';
import { makeCertificate } from '../lab/certificate.ts';
import { eventually, run, runAsync } from '../lab/command.ts';
import { type TestNetns, withNetns } from '../lab/netns.ts';

const CLI = join(import.meta.dirname, '../../src/cli/main.ts');
const API = '10.79.0.254';
const NAMESPACE = '/api/v1/namespaces/kube-system';
/** Longer than a spare waits for its place; one that hangs then says what it waits for. */
const INIT_MILLISECONDS_MAX = 150_000;
const SECRET_FOLDER = '/etc/calico/etcd-certificates';

interface ContainerShape {
  readonly command: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
}

interface PodShape {
  readonly initContainers: readonly ContainerShape[];
  readonly containers: readonly ContainerShape[];
}

/** A node of the control plane. */
export class EtcdHost {
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  private readonly netns: string;
  private readonly kubeconfig: string;
  private child: ChildProcess | undefined;
  private log = '';

  constructor(given: { name: string; address: string; folder: string; netns: string }) {
    ({ name: this.name, address: this.address, folder: this.folder, netns: this.netns } = given);
    this.kubeconfig = join(dirname(given.folder), 'kubeconfig');
    mkdirSync(join(this.folder, 'certificates'), { recursive: true });
    mkdirSync(join(this.folder, 'snapshots'));
  }

  private place(word: string): string {
    return word
      .replaceAll('$(CALICO_ETCD_IP)', this.address)
      .replaceAll('$(CALICO_ETCD_NODE)', this.name)
      .replaceAll('/var/etcd-snapshots', join(this.folder, 'snapshots'))
      .replaceAll(SECRET_FOLDER, join(this.folder, 'certificates'))
      .replace('/var/etcd', this.folder)
      .replace('/usr/local/bin/node', process.execPath)
      .replace('/opt/calico/cli.mjs', CLI)
      .replace('/usr/local/bin', dirname(tools.etcd));
  }

  private spawn({ command, env }: ContainerShape): ChildProcess {
    const words = command.map((word) => this.place(word));
    const variables = env.flatMap(({ name, value }) =>
      value === undefined ? [] : [[name, this.place(value)]],
    );
    const child = spawn('ip', ['netns', 'exec', this.netns, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        KUBECONFIG: this.kubeconfig,
        ...Object.fromEntries(variables),
      },
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.log = (this.log + chunk.toString()).slice(-200_000);
      });
    return child;
  }

  /** As the kubelet starts the pod: the init container until it has succeeded, then the member. */
  async start(values: Json, isReady = true): Promise<void> {
    const { init, main } = containersOf(values);
    this.child = this.spawn(init);
    const tooLong = setTimeout(() => this.child?.kill('SIGKILL'), INIT_MILLISECONDS_MAX);
    const [code] = (await once(this.child, 'exit')) as [number | null];
    clearTimeout(tooLong);
    if (code !== 0)
      throw new Error(`${this.name}: the init container ended with ${code}\n${this.log}`);
    this.child = this.spawn(main);
    if (isReady) await this.ready();
  }

  async ready(): Promise<void> {
    const ask = ['curl', '-sf', '--max-time', '2', 'http://127.0.0.1:6668/readyz'];
    try {
      await eventually(`${this.name} is ready`, () => this.run(ask).then(() => true), 60_000);
    } catch (cause) {
      throw new Error(`${String(cause)}\n${this.log}`);
    }
  }

  /** What the containers have said. */
  get words(): string {
    return this.log;
  }

  /** kill -9, as a machine that loses power. */
  async kill(): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** The disk is lost. */
  wipe(): void {
    for (const name of ['calico-data', 'calico-data.epoch'])
      rmSync(join(this.folder, name), { recursive: true, force: true });
  }

  run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const words = Object.entries({ KUBECONFIG: this.kubeconfig, ...env });
    const variables = words.map(([name, value]) => `${name}=${value}`);
    return runAsync(['ip', 'netns', 'exec', this.netns, 'env', ...variables, ...command]);
  }

  /** calico-kit on this host; `mayFail`: what it says counts all the same. */
  kit(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    mayFail = false,
  ): Promise<string> {
    const excuse = mayFail ? ['sh', '-c', '"$@" || true', 'sh'] : [];
    return this.run([...excuse, process.execPath, CLI, ...args], env);
  }
}

const tools = { etcd: '' };

function containersOf(values: Json): { init: ContainerShape; main: ContainerShape } {
  const settings = settingsFrom(values);
  if (!settings.ok) throw new Error(settings.error.join('\n'));
  const found = manifests(settings.value).find(
    ({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === 'calico-etcd',
  );
  if (!found) throw new Error('the manifests have no DaemonSet calico-etcd');
  const { spec } = (found['spec'] as unknown as { template: { spec: PodShape } }).template;
  return { init: spec.initContainers[0]!, main: spec.containers[0]! };
}

export interface EtcdHosts {
  readonly hosts: readonly EtcdHost[];
  /** As the DaemonSet's controller makes a host's pod, and as it goes with its node. */
  addPod(host: EtcdHost): void;
  removePod(host: EtcdHost): void;
  readObject<T>(path: string): Promise<T | undefined>;
  deleteObject(path: string): void;
  stop(): Promise<void>;
}

/** `count` hosts that reach one another and the API server. */
export async function startEtcdHosts(count: number): Promise<EtcdHosts> {
  tools.etcd = await toolPath('etcd');
  await toolPath('etcdutl');
  const folder = mkdtempSync(join(tmpdir(), 'ckt-etcd-'));
  const suffixes = ['api', ...Array.from({ length: count }, (_, i) => `n${i + 1}`)];
  const made = withNetns(`ckt-etcd-${process.pid}`, suffixes);
  const [fabric, ...nets] = made as [TestNetns, ...TestNetns[]];
  let server: ChildProcess | undefined;
  const hosts: EtcdHost[] = [];
  const stop = async (): Promise<void> => {
    for (const host of hosts) await host.kill();
    server?.disconnect();
    for (const { remove } of made) remove();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    joinHosts(fabric.name, nets);
    server = await startServer(folder, fabric.name);
    for (const [index, { name: netns }] of nets.entries()) {
      const name = `n${index + 1}`;
      const given = { name, address: addressOf(index), folder: join(folder, name), netns };
      hosts.push(new EtcdHost(given));
    }
  } catch (cause) {
    await stop();
    throw cause;
  }
  const api = server;
  const pod = (host: EtcdHost): string => `${NAMESPACE}/pods/calico-etcd-${host.name}`;
  return {
    hosts,
    addPod: (host) =>
      void api.send({
        path: pod(host),
        object: {
          metadata: { name: `calico-etcd-${host.name}` },
          spec: { nodeName: host.name },
          status: { hostIP: host.address, startTime: new Date().toISOString() },
        },
      }),
    removePod: (host) => void api.send({ path: pod(host) }),
    readObject: async <T>(path: string) => {
      api.send({ read: `${NAMESPACE}/${path}` });
      const [reply] = (await once(api, 'message')) as [T | null];
      return reply ?? undefined;
    },
    deleteObject: (path) => void api.send({ path: `${NAMESPACE}/${path}` }),
    stop,
  };
}

const addressOf = (index: number): string => `10.79.0.${index + 1}`;

function joinHosts(fabric: string, nets: readonly TestNetns[]): void {
  const ip = (netns: string, ...words: string[]): string => run(['ip', '-n', netns, ...words]);
  ip(fabric, 'link', 'add', 'br0', 'type', 'bridge');
  ip(fabric, 'addr', 'add', `${API}/24`, 'dev', 'br0');
  ip(fabric, 'link', 'set', 'br0', 'up');
  for (const [index, { name }] of nets.entries()) {
    const port = `p${index + 1}`;
    ip(fabric, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    ip(fabric, 'link', 'set', port, 'master', 'br0', 'up');
    ip(name, 'addr', 'add', `${addressOf(index)}/24`, 'dev', 'eth0');
    ip(name, 'link', 'set', 'eth0', 'up');
  }
}

async function startServer(folder: string, netns: string): Promise<ChildProcess> {
  const { certificate, key } = makeCertificate(folder, API, 'api');
  writeFileSync(
    join(folder, 'kubeconfig'),
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [
        {
          name: 'test',
          cluster: { server: `https://${API}:6443`, 'certificate-authority': certificate },
        },
      ],
      users: [{ name: 'test', user: { token: 'test' } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    }),
  );
  const program = join(import.meta.dirname, 'object-server.ts');
  const words = [process.execPath, program, API, '6443', certificate, key];
  const child = spawn('ip', ['netns', 'exec', netns, ...words], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  return child;
}
