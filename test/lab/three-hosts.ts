// Three hosts of a lab: two share a subnet, the third is behind a router (the fabric).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { auditIpam } from '../../src/ipam/audit.ts';
import { toolPath } from '../cluster/tools.ts';
import { eventually, run } from './command.ts';
import type { LabHost } from './host.ts';
import { CONFIG, ended, type Lab, type LabPod, openLab } from './lab.ts';

const ROOT = join(import.meta.dirname, '../..');
const POOL_KEY = '/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool';
const BGP_KEY = '/calico/resources/v3/projectcalico.org/bgpconfigurations/default';
/** Of the third host, in the subnet behind the router. */
export const FAR_ADDRESS = '10.202.0.13';

const ALLOW = { action: 'Allow' };

type Mode = 'Always' | 'CrossSubnet' | 'Never';

/** Of the pool. */
export interface Modes {
  readonly ipipMode?: Mode;
  readonly vxlanMode?: Mode;
}

export interface HostsOptions extends Modes {
  /** False: agents alone, no BGP. */
  readonly speaker?: boolean;
  /** Octets, of pods. */
  readonly mtu?: number;
}

interface StoredNode {
  readonly spec: {
    readonly bgp?: Readonly<Record<string, string>>;
    readonly ipv4VXLANTunnelAddr?: string;
    readonly vxlanTunnelMACAddr?: string;
    readonly ipv6VXLANTunnelAddr?: string;
  };
}

export class Hosts {
  readonly lab: Lab;
  /** One on each host. */
  pods: readonly LabPod[] = [];

  private readonly etcdctl: string;

  private env: Readonly<Record<string, string>> = {};

  private constructor(lab: Lab, etcdctl: string) {
    this.lab = lab;
    this.etcdctl = etcdctl;
  }

  /** Agents, speakers and a pod on each; the pool's mode as it is at first. */
  static async open(options: HostsOptions): Promise<Hosts> {
    const { ipipMode = 'Never', vxlanMode = 'Never', speaker = true, mtu = 1480 } = options;
    // A machine without the cache has it beside etcd.
    const etcd = process.env['CALICO_KIT_ETCD'];
    const etcdctl = etcd ? `${etcd}ctl` : await toolPath('etcdctl');
    const lab = await openLab(3);
    try {
      const hosts = new Hosts(lab, etcdctl);
      hosts.moveThird();
      const env = {
        CALICO_IPV4POOL_IPIP: ipipMode,
        CALICO_IPV4POOL_VXLAN: vxlanMode,
        CNI_MTU: String(mtu),
        CALICO_NETWORKING_BACKEND: speaker ? 'bird' : 'vxlan',
      };
      hosts.env = env;
      await lab.host(0).startAgent(env); // it makes the pool
      await Promise.all(lab.hosts.slice(1).map((host) => host.startAgent(env)));
      if (speaker) await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
      const pods: LabPod[] = [];
      for (const host of lab.hosts) pods.push(await lab.addPod(host, `on-${host.name}`));
      hosts.pods = pods;
      return hosts;
    } catch (cause) {
      await lab.stop();
      throw cause;
    }
  }

  private moveThird(): void {
    const { netns, address } = this.lab.host(2);
    const fabric = `${this.lab.prefix}-fab`;
    run(['ip', '-n', fabric, 'addr', 'add', '10.202.0.1/24', 'dev', 'br0']);
    run(['ip', 'netns', 'exec', fabric, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    run(['ip', 'netns', 'exec', fabric, 'sysctl', '-qw', 'net.ipv4.conf.all.send_redirects=0']);
    run(['ip', '-n', netns, 'addr', 'delete', `${address}/24`, 'dev', 'eth0']);
    run(['ip', '-n', netns, 'addr', 'add', `${FAR_ADDRESS}/24`, 'dev', 'eth0']);
    run(['ip', '-n', netns, 'route', 'replace', 'default', 'via', '10.202.0.1']);
  }

  host(index: number): LabHost {
    return this.lab.host(index);
  }

  pod(index: number): LabPod {
    const pod = this.pods[index];
    assert.ok(pod, `there is no pod ${index}`);
    return pod;
  }

  /** Addresses of the hosts' own tables, in their order. */
  addressOf(index: number): string {
    return index === 2 ? FAR_ADDRESS : this.host(index).address;
  }

  /** What the host's blackhole says. */
  blockOf(index: number): string {
    const [, block] = /^blackhole (\S+) /m.exec(this.host(index).routes()) ?? [];
    assert.ok(block, `host ${index} has no block: ${this.host(index).routes()}`);
    return block;
  }

  get(key: string): string {
    const endpoint = `--endpoints=${this.lab.etcdEndpoint}`;
    return this.host(0).exec([this.etcdctl, endpoint, 'get', key, '--print-value-only']).trim();
  }

  put(key: string, value: string): void {
    const endpoint = `--endpoints=${this.lab.etcdEndpoint}`;
    this.host(0).exec([this.etcdctl, endpoint, 'put', key, value]);
  }

  remove(key: string): void {
    this.host(0).exec([this.etcdctl, `--endpoints=${this.lab.etcdEndpoint}`, 'del', key]);
  }

  /** What is not named is Never. */
  setModes({ ipipMode = 'Never', vxlanMode = 'Never' }: Modes): void {
    this.changePool({ ipipMode, vxlanMode });
  }

  changePool(changes: Readonly<Record<string, string>>): void {
    const pool = JSON.parse(this.get(POOL_KEY)) as { spec: Record<string, unknown> };
    this.put(POOL_KEY, JSON.stringify({ ...pool, spec: { ...pool.spec, ...changes } }));
  }

  label(index: number, labels: Readonly<Record<string, string>>): void {
    const key = `/calico/resources/v3/projectcalico.org/nodes/${this.host(index).name}`;
    const node = JSON.parse(this.get(key)) as { metadata: object };
    this.put(key, JSON.stringify({ ...node, metadata: { ...node.metadata, labels } }));
  }

  /** BGPConfiguration `default` says so, and nothing else. */
  programClusterRoutes(programClusterRoutes: string | undefined): void {
    const metadata = { name: 'default', uid: '6c9a1f5e-0d0b-4b8e-9a55-3f1f0a8c7d21' };
    const head = { apiVersion: 'projectcalico.org/v3', kind: 'BGPConfiguration' };
    const spec = { programClusterRoutes };
    this.put(BGP_KEY, JSON.stringify({ ...head, metadata, spec }));
  }

  allowEverybody(): void {
    const all = { types: ['Ingress', 'Egress'], ingress: [ALLOW], egress: [ALLOW] };
    const key = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/default.everybody';
    const metadata = { name: 'default.everybody', uid: 'c3f0a9f2-6c3d-4d0c-8f5c-2d1c0b7f4d11' };
    const head = { apiVersion: 'projectcalico.org/v3', kind: 'GlobalNetworkPolicy' };
    this.put(key, JSON.stringify({ ...head, metadata, spec: { selector: 'all()', ...all } }));
  }

  node(index: number): StoredNode {
    const key = `/calico/resources/v3/projectcalico.org/nodes/${this.host(index).name}`;
    return JSON.parse(this.get(key)) as StoredNode;
  }

  /** The host gets an IPv6 address, and its Node tells of it. */
  addIpv6(index: number, address: string): void {
    const { netns, name } = this.host(index);
    run(['ip', '-n', netns, 'addr', 'add', `${address}/64`, 'dev', 'eth0', 'nodad']);
    run(['ip', 'netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
    const { spec, ...node } = this.node(index);
    const bgp = { ...spec.bgp, ipv6Address: `${address}/64` };
    const key = `/calico/resources/v3/projectcalico.org/nodes/${name}`;
    this.put(key, JSON.stringify({ ...node, spec: { ...spec, bgp } }));
  }

  /** What calico-kit says, asked on the first host. */
  calicoKit(...args: readonly string[]): string {
    const programs = process.env['CALICO_KIT_PROGRAMS'];
    const cli = programs ? join(programs, 'cli.mjs') : join(ROOT, 'src/cli/main.ts');
    const etcd = `ETCD_ENDPOINTS=${this.lab.etcdEndpoint}`;
    return this.host(0).exec(['env', etcd, process.execPath, cli, ...args]);
  }

  /** Lines of `ip route`. */
  routes(index: number): readonly string[] {
    return this.host(index)
      .routes()
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
  }

  async ping(from: number, to: number): Promise<void> {
    const { ip } = this.pod(to);
    await eventually(
      `pod ${from} reaches pod ${to} (${ip}); ${this.routes(from).join(' | ')}`,
      () => this.lab.pings(this.pod(from), ip),
    );
  }

  /** A pod with an address of each family. */
  async addDualPod(index: number, name: string) {
    const pod = this.lab.newPod(name);
    const ipam = { ...CONFIG.ipam, assign_ipv4: 'true', assign_ipv6: 'true' };
    const reply = await this.host(index).cni(this.lab.environment('ADD', pod), { ...CONFIG, ipam });
    assert.equal(reply.exit, 0, reply.stdout);
    const { ips } = JSON.parse(reply.stdout) as { ips: { address: string }[] };
    const six = ips.find(({ address }) => address.includes(':'));
    return { ...pod, ip6: six!.address.replace('/128', '') };
  }

  /** A machine in the first hosts' subnet that is no node; answers its namespace. */
  stranger(address: string): string {
    const fabric = `${this.lab.prefix}-fab`;
    const stranger = `${this.lab.prefix}-p-stranger`;
    run(['ip', 'netns', 'add', stranger]);
    const pair = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', stranger];
    run(['ip', '-n', fabric, 'link', 'add', 'stranger', ...pair]);
    run(['ip', '-n', fabric, 'link', 'set', 'stranger', 'master', 'br0', 'up']);
    run(['ip', '-n', stranger, 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
    run(['ip', '-n', stranger, 'link', 'set', 'eth0', 'up']);
    return stranger;
  }

  /** Ends an agent and starts it with the same settings. */
  async restartAgent(index: number): Promise<void> {
    const host = this.host(index);
    if (host.agent) await ended(host.agent, 'SIGTERM');
    await host.startAgent(this.env);
  }

  /** From now on hosts that are restarted have a speaker. */
  useSpeakers(): void {
    this.env = { ...this.env, CALICO_NETWORKING_BACKEND: 'bird' };
  }

  /** Ends a host's agent and speaker together and starts them again; resolves when both are ready. */
  async restartNode(index: number, signal: NodeJS.Signals): Promise<void> {
    const host = this.host(index);
    const running = [host.agent, host.speaker].filter((program) => program !== undefined);
    await Promise.all(running.map((program) => ended(program, signal)));
    await Promise.all([host.startAgent(this.env), host.startSpeaker()]);
    await eventually(
      `the speaker of host ${index} is ready`,
      () => host.http(9098, '/readiness').ok,
      20_000,
    );
  }

  /** Everything that is allocated has an owner. */
  audit(): void {
    const endpoint = `--endpoints=${this.lab.etcdEndpoint}`;
    const argv = [this.etcdctl, endpoint, 'get', '/calico/', '--prefix', '-w', 'json'];
    const { kvs } = JSON.parse(this.host(0).exec(argv)) as {
      kvs: { key: string; value: string }[];
    };
    const text = (base64: string): string => Buffer.from(base64, 'base64').toString();
    const items = kvs.map(({ key, value }) => ({ key: text(key), value: text(value) }));
    assert.deepEqual(auditIpam(items), []);
  }

  close(): Promise<void> {
    return this.lab.stop();
  }
}
