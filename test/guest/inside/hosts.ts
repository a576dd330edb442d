// Three hosts in the guest: two share a subnet, the third is behind a router (the fabric).
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { auditIpam } from '../../../src/ipam/audit.ts';
import { attempt, eventually, run } from '../../lab/command.ts';
import type { LabHost } from '../../lab/host.ts';
import { type Lab, type LabPod, openLab } from '../../lab/lab.ts';

const ETCDCTL = '/usr/local/bin/etcdctl';
const POOL_KEY = '/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool';
/** Of the third host, in the subnet behind the router. */
export const FAR_ADDRESS = '10.202.0.13';

const ALLOW = { action: 'Allow' };

type Mode = 'Always' | 'CrossSubnet' | 'Never';

export class Hosts {
  readonly lab: Lab;
  /** One on each host. */
  pods: readonly LabPod[] = [];

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** Agents, speakers and a pod on each; the pool's mode as it is at first. */
  static async open(ipipMode: Mode): Promise<Hosts> {
    const lab = await openLab(3);
    const hosts = new Hosts(lab);
    hosts.moveThird();
    const env = { CALICO_IPV4POOL_IPIP: ipipMode, CNI_MTU: '1480' };
    await lab.host(0).startAgent(env); // it makes the pool
    await Promise.all(lab.hosts.slice(1).map((host) => host.startAgent(env)));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
    const pods: LabPod[] = [];
    for (const host of lab.hosts) pods.push(await lab.addPod(host, `on-${host.name}`));
    hosts.pods = pods;
    return hosts;
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
    return this.host(0).exec([ETCDCTL, endpoint, 'get', key, '--print-value-only']).trim();
  }

  private put(key: string, value: string): void {
    const endpoint = `--endpoints=${this.lab.etcdEndpoint}`;
    this.host(0).exec([ETCDCTL, endpoint, 'put', key, value]);
  }

  setMode(ipipMode: Mode): void {
    const pool = JSON.parse(this.get(POOL_KEY)) as { spec: Record<string, unknown> };
    this.put(POOL_KEY, JSON.stringify({ ...pool, spec: { ...pool.spec, ipipMode } }));
  }

  allowEverybody(): void {
    const all = { types: ['Ingress', 'Egress'], ingress: [ALLOW], egress: [ALLOW] };
    const key = '/calico/resources/v3/projectcalico.org/globalnetworkpolicies/default.everybody';
    const metadata = { name: 'default.everybody', uid: 'c3f0a9f2-6c3d-4d0c-8f5c-2d1c0b7f4d11' };
    const head = { apiVersion: 'projectcalico.org/v3', kind: 'GlobalNetworkPolicy' };
    this.put(key, JSON.stringify({ ...head, metadata, spec: { selector: 'all()', ...all } }));
  }

  node(index: number): { spec: { bgp?: Record<string, string> } } {
    const key = `/calico/resources/v3/projectcalico.org/nodes/${this.host(index).name}`;
    return JSON.parse(this.get(key)) as { spec: { bgp?: Record<string, string> } };
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

  /** Everything that is allocated has an owner. */
  audit(): void {
    const endpoint = `--endpoints=${this.lab.etcdEndpoint}`;
    const argv = [ETCDCTL, endpoint, 'get', '/calico/', '--prefix', '-w', 'json'];
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

/** Bytes through TCP from one namespace to an address that another listens on; answers how many came. */
export async function sendBytes(
  from: string,
  to: { readonly netns: string; readonly ip: string },
  bytes: number,
): Promise<number> {
  const exec = ['netns', 'exec'];
  const receiver = spawn('ip', [...exec, to.netns, 'nc', '-l', '-p', '9000'], {
    stdio: ['pipe', 'pipe', 'ignore'], // its input stays open: it must not close first
  });
  let received = 0;
  receiver.stdout.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await eventually('somebody listens', () =>
    run(['ip', ...exec, to.netns, 'cat', '/proc/net/tcp6', '/proc/net/tcp']).includes(':2328 '),
  );
  const send = `head -c ${bytes} /dev/zero | nc ${to.ip} 9000`;
  const sender = spawn('ip', [...exec, from, 'sh', '-c', send], { stdio: 'ignore' });
  await Promise.all([closed(receiver), closed(sender)]);
  return received;
}

const closed = (child: ChildProcess): Promise<unknown> => once(child, 'close');

/** How many echo requests have arrived in a namespace. */
export function echoesOf(netns: string): number {
  const shown = run(['ip', 'netns', 'exec', netns, 'cat', '/proc/net/snmp']);
  const [names, counts] = [...shown.matchAll(/^Icmp: (.*)$/gm)].map(([, line]) => line!.split(' '));
  return Number(counts![names!.indexOf('InEchos')]);
}

/** How many packets the interface of a namespace has received. */
export const receivedBy = (netns: string, link = 'eth0'): number =>
  Number(
    run(['ip', 'netns', 'exec', netns, 'cat', `/sys/class/net/${link}/statistics/rx_packets`]),
  );

export const tried = (netns: string, ...argv: readonly string[]): boolean =>
  attempt(['ip', 'netns', 'exec', netns, ...argv]).ok;
