// Nodes, each a network namespace with the real speaker program, on one bridge with a real etcd, as a
// cluster has them. Everything ends with the test, also on failure.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { affinityKey, namespacedKey, resourceKey } from '../../src/model/keys.ts';
import { workloadEndpointName } from '../../src/model/workload-endpoint.ts';
import { cidr } from '../../src/net/cidr.ts';
import { toolPath } from '../cluster/tools.ts';
import { attempt, eventually, run } from '../lab/command.ts';

const ETCD = 'http://10.79.0.254:2379';
const SPEAKER = join(import.meta.dirname, '../../src/speaker/main.ts');
let made = 0;

export const address = (n: number): string => `10.79.0.${10 + n}`;
export const block = (n: number): string => `192.168.${n}.0/26`;

export class ManyHosts {
  readonly nodes: readonly number[];
  private readonly prefix: string;
  private readonly children = new Map<string, ChildProcess>();
  private readonly directory = mkdtempSync(join(tmpdir(), 'ckt-bgp-'));
  private etcdctl = '';

  constructor(nodes: readonly number[]) {
    this.nodes = nodes;
    made += 1;
    this.prefix = `ckt-bgp-${process.pid}-m${made}-`;
  }

  netns(n: number): string {
    return `${this.prefix}${n}`;
  }

  get bridge(): string {
    return `${this.prefix}s`;
  }

  async open(): Promise<void> {
    const etcd = await toolPath('etcd');
    this.etcdctl = await toolPath('etcdctl');
    this.makeNetwork();
    const urls = ['--listen-client-urls', ETCD, '--advertise-client-urls', ETCD];
    const peers = ['--listen-peer-urls', 'http://127.0.0.1:2380', '--unsafe-no-fsync'];
    const data = ['--data-dir', join(this.directory, 'etcd'), '--log-level', 'error'];
    this.start('etcd', this.bridge, [etcd, ...urls, ...peers, ...data]);
    await eventually('etcd answers', () => this.put('/x', ''), 20_000);
  }

  async close(): Promise<void> {
    for (const name of [...this.children.keys()]) await this.end(name);
    for (const name of [this.bridge, ...this.nodes.map((n) => this.netns(n))])
      attempt(['ip', 'netns', 'del', name]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  start(name: string, where: string, argv: readonly string[], env: object = {}): void {
    const quiet = process.env['CKT_VERBOSE'] ? 'inherit' : 'ignore';
    const child = spawn('ip', ['netns', 'exec', where, ...argv], {
      stdio: quiet,
      env: { ...process.env, ...env },
    });
    this.children.set(name, child);
  }

  /** Answers with what code it ended; null: it was killed. */
  async end(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    const child = this.children.get(name);
    this.children.delete(name);
    if (!child) return null;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    child.kill(signal);
    await once(child, 'exit');
    return child.exitCode;
  }

  signal(name: string, signal: NodeJS.Signals): void {
    this.children.get(name)?.kill(signal);
  }

  startSpeaker(n: number, env: object = {}): void {
    this.start(`speaker${n}`, this.netns(n), [process.execPath, SPEAKER], {
      ETCD_ENDPOINTS: ETCD,
      NODENAME: `n${n}`,
      LOG_LEVEL: 'info',
      BGP_HOLD_TIME_SECONDS: '3',
      ...env,
    });
  }

  put(key: string, value: string): string {
    return this.etcd('put', key, value);
  }

  remove(key: string): string {
    return this.etcd('del', key);
  }

  putNode(n: number, bgp: object = {}, labels: object = {}): void {
    const spec = { bgp: { ipv4Address: `${address(n)}/24`, ...bgp } };
    this.put(resourceKey('nodes', `n${n}`), resource('Node', `n${n}`, spec, labels));
  }

  putBlock(n: number): void {
    this.put(affinityKey(`n${n}`, cidr(block(n))), '{"state":"confirmed"}');
  }

  putPod(n: number, name: string, ip: string): void {
    const spec = { node: `n${n}`, endpoint: 'eth0', ipNetworks: [`${ip}/32`] };
    this.put(podKey(n, name), resource('WorkloadEndpoint', name, spec));
  }

  removePod(n: number, name: string): void {
    this.remove(podKey(n, name));
  }

  /** The answer of the speaker's health server. */
  ask(n: number, path: string): string {
    const argv = ['curl', '-sS', `http://127.0.0.1:9098${path}`];
    return attempt(['ip', 'netns', 'exec', this.netns(n), ...argv]).output.trim();
  }

  inside(n: number, ...argv: string[]): string {
    return run(['ip', 'netns', 'exec', this.netns(n), ...argv]);
  }

  /** The address answers on that node, as a pod's would. */
  moveAddress(ip: string, from: number | undefined, to: number | undefined): void {
    if (from) run(['ip', '-n', this.netns(from), 'addr', 'del', `${ip}/32`, 'dev', 'lo']);
    if (to) run(['ip', '-n', this.netns(to), 'addr', 'add', `${ip}/32`, 'dev', 'lo']);
  }

  /** The kernel's routes of protocol bird, sorted, one a line. */
  routes(n: number): string {
    return run(['ip', '-n', this.netns(n), 'route', 'show', 'proto', 'bird'])
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
      .toSorted()
      .join('\n');
  }

  others(n: number): readonly number[] {
    return this.nodes.filter((other) => other !== n);
  }

  /** Every one of these nodes has the routes of all others, and no more. */
  converged(...nodes: readonly number[]): Promise<unknown> {
    return eventually(
      'every node has the routes of all others',
      () => nodes.every((n) => this.routes(n) === tableOf(n, this.others(n))),
      20_000,
    );
  }

  private etcd(...argv: string[]): string {
    return run(['ip', 'netns', 'exec', this.bridge, this.etcdctl, '--endpoints', ETCD, ...argv]);
  }

  private makeNetwork(): void {
    for (const name of [this.bridge, ...this.nodes.map((n) => this.netns(n))]) {
      run(['ip', 'netns', 'add', name]);
      run(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
    }
    run(['ip', '-n', this.bridge, 'link', 'add', 'br0', 'type', 'bridge']);
    run(['ip', '-n', this.bridge, 'addr', 'add', '10.79.0.254/24', 'dev', 'br0']);
    run(['ip', '-n', this.bridge, 'link', 'set', 'br0', 'up']);
    for (const n of this.nodes) {
      const port = ['peer', 'name', `port${n}`, 'netns', this.bridge];
      run(['ip', '-n', this.netns(n), 'link', 'add', 'eth0', 'type', 'veth', ...port]);
      run(['ip', '-n', this.netns(n), 'addr', 'add', `${address(n)}/24`, 'dev', 'eth0']);
      run(['ip', '-n', this.netns(n), 'link', 'set', 'eth0', 'up']);
      run(['ip', '-n', this.bridge, 'link', 'set', `port${n}`, 'master', 'br0', 'up']);
    }
  }
}

/** The routes of a node that sees these others. */
export const tableOf = (n: number, others: readonly number[]): string =>
  [...others.map((o) => `${block(o)} via ${address(o)} dev eth0`), `blackhole ${block(n)}`]
    .toSorted()
    .join('\n');

export const resource = (kind: string, name: string, spec: object, labels: object = {}): string =>
  JSON.stringify({
    kind,
    apiVersion: 'projectcalico.org/v3',
    metadata: { name, labels },
    spec,
  });

const podKey = (n: number, workload: string): string => {
  const id = { node: `n${n}`, orchestrator: 'k8s', workload, endpoint: 'eth0' };
  return namespacedKey('workloadendpoints', 'default', workloadEndpointName(id));
};
