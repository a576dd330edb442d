// The lab: hosts that are network namespaces on one bridge, each with the real agent and speaker
// as processes, and a real etcd; no Kubernetes. Everything lives in namespaces of its own and is
// removed at the end, also on failure.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../cluster/tools.ts';
import { type Certificate, etcdFiles, etcdFlags, makeCertificate } from './certificate.ts';
import { attempt, eventually, run, SLOWNESS } from './command.ts';
import { type CniReply, LabHost } from './host.ts';

const FABRIC_ADDRESS = '10.201.0.1';

export interface LabPod {
  readonly name: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ip: string;
  /** Of its ADD, for a later CHECK. */
  readonly result: object;
}

/** A pod before ADD. */
export type NewPod = Omit<LabPod, 'ip' | 'result'>;

export const CONFIG = {
  cniVersion: '1.0.0',
  name: 'k8s-pod-network',
  type: 'calico',
  ipam: { type: 'calico-ipam' },
  // An emulated machine needs its time for the first rules; a real one has the default.
  ...(SLOWNESS > 1 ? { policy_setup_timeout_seconds: 5 * SLOWNESS } : {}),
};

export class Lab {
  readonly hosts: readonly LabHost[];
  readonly etcdEndpoint: string;
  readonly prefix: string;
  private readonly directory: string;
  private etcd: ChildProcess;
  private readonly restartEtcd: () => ChildProcess;
  private readonly pods = new Set<string>();

  constructor(parts: {
    hosts: readonly LabHost[];
    etcdEndpoint: string;
    prefix: string;
    directory: string;
    startEtcd: () => ChildProcess;
  }) {
    this.hosts = parts.hosts;
    this.etcdEndpoint = parts.etcdEndpoint;
    this.prefix = parts.prefix;
    this.directory = parts.directory;
    this.restartEtcd = parts.startEtcd;
    this.etcd = parts.startEtcd();
  }

  host(index: number): LabHost {
    const host = this.hosts[index];
    if (!host) throw new Error(`the lab has no host ${index}`);
    return host;
  }

  /** A pod's namespace with what CNI ADD gives it. */
  async addPod(host: LabHost, name: string): Promise<LabPod> {
    const pod = this.newPod(name);
    const reply = await host.cni(this.environment('ADD', pod), CONFIG);
    if (reply.exit !== 0) throw new Error(`ADD ${name}: ${reply.stdout}\n${host.log('agent')}`);
    const result = JSON.parse(reply.stdout) as { ips: { address: string }[] };
    return { ...pod, ip: result.ips[0]!.address.replace('/32', ''), result };
  }

  /** An empty namespace for a pod. */
  newPod(name: string): NewPod {
    const netns = `${this.prefix}-p-${name}`;
    run(['ip', 'netns', 'add', netns]);
    this.pods.add(netns);
    return { name, containerId: `cid-${name}`, netns };
  }

  environment(command: string, pod: NewPod): Record<string, string> {
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: `/run/netns/${pod.netns}`,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`,
    };
  }

  async deletePod(host: LabHost, pod: NewPod): Promise<CniReply> {
    return host.cni(this.environment('DEL', pod), CONFIG);
  }

  pings(from: LabPod, to: string, count = 1): boolean {
    return attempt([
      'ip',
      'netns',
      'exec',
      from.netns,
      'ping',
      '-c',
      String(count),
      '-i',
      '0.2',
      '-W',
      '1',
      to,
    ]).ok;
  }

  get etcdPid(): number {
    return this.etcd.pid!;
  }

  stopEtcd(): Promise<void> {
    return ended(this.etcd, 'SIGKILL');
  }

  /** On the data that a former one left. */
  startEtcd(): void {
    this.etcd = this.restartEtcd();
  }

  async stop(): Promise<void> {
    for (const host of this.hosts) {
      if (host.agent) await ended(host.agent, 'SIGKILL');
      if (host.speaker) await ended(host.speaker, 'SIGKILL');
    }
    await ended(this.etcd, 'SIGKILL');
    removeNamespaces(this.prefix);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Ends a process and waits until it is gone. */
export function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

function removeNamespaces(prefix: string): void {
  for (const line of run(['ip', 'netns', 'list']).split('\n')) {
    const name = line.split(' ')[0] ?? '';
    if (name.startsWith(`${prefix}-`)) attempt(['ip', 'netns', 'delete', name]);
  }
}

/** Builds the fabric, the hosts and etcd; starts no program of ours yet. */
export async function openLab(
  hostCount: number,
  {
    dataFolder = tmpdir(),
    tls = false,
  }: { readonly dataFolder?: string; readonly tls?: boolean } = {},
): Promise<Lab> {
  const prefix = `ckt-lab-${process.pid}`;
  const directory = mkdtempSync(join(dataFolder, 'calico-kit-lab-'));
  const etcdBinary = process.env['CALICO_KIT_ETCD'] ?? (await toolPath('etcd'));
  makeFabric(prefix);
  const certificate = tls ? makeCertificate(directory, FABRIC_ADDRESS) : undefined;
  const etcdEndpoint = `${tls ? 'https' : 'http'}://${FABRIC_ADDRESS}:6666`;
  const etcd = { etcdEndpoint, etcdEnv: certificate ? etcdFiles(certificate) : {} };
  const hosts = Array.from({ length: hostCount }, (_, i) =>
    makeHost(prefix, directory, i + 1, etcd),
  );
  const startEtcd = () =>
    startEtcdIn(`${prefix}-fab`, [
      etcdBinary,
      ...etcdArguments(join(directory, 'etcd'), etcdEndpoint),
      ...(certificate ? etcdFlags(certificate) : []),
    ]);
  const lab = new Lab({ hosts, etcdEndpoint, prefix, directory, startEtcd });
  try {
    const health = [
      'ip',
      'netns',
      'exec',
      `${prefix}-fab`,
      'curl',
      '-sf',
      '--max-time',
      '1',
      ...(certificate ? curlFlags(certificate) : []),
      `${etcdEndpoint}/health`,
    ];
    await eventually('etcd answers', () => attempt(health).ok, 15_000);
    return lab;
  } catch (cause) {
    await lab.stop();
    throw cause;
  }
}

function makeFabric(prefix: string): void {
  const fabric = `${prefix}-fab`;
  run(['ip', 'netns', 'add', fabric]);
  run(['ip', '-n', fabric, 'link', 'set', 'lo', 'up']);
  run(['ip', '-n', fabric, 'link', 'add', 'br0', 'type', 'bridge']);
  run(['ip', '-n', fabric, 'addr', 'add', `${FABRIC_ADDRESS}/24`, 'dev', 'br0']);
  run(['ip', '-n', fabric, 'link', 'set', 'br0', 'up']);
  // A switch and a dead end; bridged frames do not meet this namespace's packet filter.
  run(['ip', 'netns', 'exec', fabric, 'sysctl', '-qw', 'net.ipv4.ip_forward=0']);
  attempt(['ip', 'netns', 'exec', fabric, 'sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0']);
}

function makeHost(
  prefix: string,
  directory: string,
  number: number,
  etcd: Pick<LabHost, 'etcdEndpoint' | 'etcdEnv'>,
): LabHost {
  const [netns, fabric] = [`${prefix}-h${number}`, `${prefix}-fab`];
  const address = `10.201.0.${10 + number}`;
  run(['ip', 'netns', 'add', netns]);
  run([
    'ip',
    '-n',
    fabric,
    'link',
    'add',
    `h${number}`,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    netns,
  ]);
  run(['ip', '-n', fabric, 'link', 'set', `h${number}`, 'master', 'br0', 'up']);
  run(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
  run(['ip', '-n', netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
  run(['ip', '-n', netns, 'link', 'set', 'eth0', 'up']);
  run(['ip', '-n', netns, 'route', 'add', 'default', 'via', FABRIC_ADDRESS]);
  run(['ip', 'netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  const own = join(directory, `h${number}`);
  for (const sub of ['lib', 'run']) mkdirSync(join(own, sub), { recursive: true });
  return new LabHost({ name: `h${number}`, netns, address, directory: own, ...etcd });
}

const startEtcdIn = (netns: string, argv: readonly string[]): ChildProcess =>
  spawn('nsenter', [`--net=/run/netns/${netns}`, ...argv], { stdio: 'ignore' });

const curlFlags = ({ certificate, key }: Certificate): readonly string[] => [
  ...['--cacert', certificate, '--cert', certificate, '--key', key],
];

function etcdArguments(data: string, endpoint: string): readonly string[] {
  const peer = 'http://127.0.0.1:6667';
  return [
    '--name',
    'lab',
    '--data-dir',
    data,
    '--log-level',
    'error',
    '--listen-client-urls',
    endpoint,
    '--advertise-client-urls',
    endpoint,
    '--listen-peer-urls',
    peer,
    '--initial-advertise-peer-urls',
    peer,
    '--initial-cluster',
    `lab=${peer}`,
  ];
}
