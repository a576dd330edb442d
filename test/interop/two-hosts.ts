// Two network namespaces joined by a veth pair: our speaker in one, somebody else's BGP daemon in
// the other. Everything ends with the test, also on failure.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RouteReport } from '../../src/bgp/status.ts';
import {
  affinityKey,
  type ClusterPlural,
  namespacedKey,
  resourceKey,
} from '../../src/model/keys.ts';
import { workloadEndpointName } from '../../src/model/workload-endpoint.ts';
import { cidr } from '../../src/net/cidr.ts';
import { attempt, eventually, run } from '../lab/command.ts';
import type { FromSpeaker, ToSpeaker } from './speaker-child.ts';

export const OUR_BLOCK = '192.168.1.0/26';
export const THEIR_BLOCK = '192.168.2.0/26';
let hosts = 0;

export interface TwoHostsOptions {
  readonly ours: string;
  readonly theirs: string;
  readonly theirAsn?: number;
  readonly holdTimeSeconds?: number;
}

export class TwoHosts {
  readonly options: TwoHostsOptions;
  readonly directory = mkdtempSync(join(tmpdir(), 'ckt-bgp-'));
  readonly left: string;
  readonly right: string;
  private readonly children = new Set<ChildProcess>();
  private speaker: ChildProcess | undefined;
  private readonly objects = new Map<string, string>();
  private readonly secrets = new Map<string, Record<string, string>>();
  private readonly kubernetes = new Map<string, ToSpeaker>();

  constructor(options: TwoHostsOptions) {
    this.options = options;
    hosts += 1;
    const prefix = `ckt-bgp-${process.pid}-${hosts}`;
    [this.left, this.right] = [`${prefix}a`, `${prefix}b`];
    for (const netns of [this.left, this.right]) {
      run(['ip', 'netns', 'add', netns]);
      run(['ip', '-n', netns, 'link', 'set', 'lo', 'up']);
    }
    const peer = ['peer', 'name', 'eth0', 'netns', this.right];
    run(['ip', '-n', this.left, 'link', 'add', 'eth0', 'type', 'veth', ...peer]);
    for (const [netns, address] of [
      [this.left, options.ours],
      [this.right, options.theirs],
    ] as const) {
      run(['ip', '-n', netns, 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
      run(['ip', '-n', netns, 'link', 'set', 'eth0', 'up']);
    }
    const asNumber = options.theirAsn;
    this.put(...nodeObject('ours', { ipv4Address: `${options.ours}/24` }));
    this.put(
      ...nodeObject('theirs', {
        ipv4Address: `${options.theirs}/24`,
        ...(asNumber ? { asNumber } : {}),
      }),
    );
    const key = resourceKey('ippools', 'pool');
    this.put(key, object('IPPool', 'pool', { cidr: '192.168.0.0/16', ipipMode: 'Never' }));
    this.ownBlock(OUR_BLOCK);
  }

  /** Writes to our speaker's datastore. */
  put(key: string, value: string): void {
    this.objects.set(key, value);
    this.say({ kind: 'put', key, value });
  }

  /** Writes a Secret to our speaker's namespace. */
  putSecret(name: string, texts: Record<string, string>): void {
    this.secrets.set(name, texts);
    this.say({ kind: 'secret', name, texts });
  }

  /** Writes an object to our speaker's Kubernetes, or takes it away. */
  putKubernetes(
    plural: 'services' | 'endpointslices' | 'nodes',
    object: { readonly metadata: { readonly name: string } },
    gone = false,
  ): void {
    const message = { kind: 'kubernetes', plural, object: object as never, gone } as const;
    const { name } = object.metadata;
    if (gone) this.kubernetes.delete(`${plural} ${name}`);
    else this.kubernetes.set(`${plural} ${name}`, message);
    this.say(message);
  }

  /** The routing table of our speaker as `bgpdump -m` reads it, a line for each path. */
  async dump(): Promise<readonly string[]> {
    const file = join(this.directory, 'rib.mrt');
    this.say({ kind: 'dump', file });
    await this.state(); // messages are worked off in order
    return run(['bgpdump', '-q', '-m', file]).trimEnd().split('\n');
  }

  cordon(cordoned: boolean): void {
    this.say({ kind: 'cordon', cordoned });
  }

  /** Writes a resource of the cluster. */
  putResource(
    plural: ClusterPlural,
    kind: string,
    name: string,
    spec: object,
    annotations?: Readonly<Record<string, string>>,
  ): void {
    this.put(resourceKey(plural, name), object(kind, name, spec, annotations));
  }

  removeResource(plural: ClusterPlural, name: string): void {
    this.remove(resourceKey(plural, name));
  }

  ownBlock(block: string): void {
    this.put(affinityKey('ours', cidr(block)), '{"state":"confirmed","deleted":false}');
  }

  disownBlock(block: string): void {
    this.remove(affinityKey('ours', cidr(block)));
  }

  /** A pod of ours with this address, wherever its block is. */
  putPod(name: string, address: string, more: object = {}, labels: object = {}): void {
    const spec = { node: 'ours', endpoint: 'eth0', ipNetworks: [`${address}/32`], ...more };
    this.put(podKey(name), object('WorkloadEndpoint', name, spec, undefined, labels));
  }

  removePod(name: string): void {
    this.remove(podKey(name));
  }

  private remove(key: string): void {
    this.objects.delete(key);
    this.say({ kind: 'delete', key });
  }

  private say(message: ToSpeaker): void {
    this.speaker?.send(message);
  }

  /** Starts our speaker in the left namespace. */
  startSpeaker(): void {
    const { holdTimeSeconds = 3 } = this.options;
    const script = join(import.meta.dirname, 'speaker-child.ts');
    const argv = [process.execPath, script, 'ours', String(holdTimeSeconds)];
    this.speaker = this.spawn(this.left, argv, true);
    for (const [key, value] of this.objects) this.say({ kind: 'put', key, value });
    for (const [name, texts] of this.secrets) this.say({ kind: 'secret', name, texts });
    for (const message of this.kubernetes.values()) this.say(message);
    this.say({ kind: 'start' });
  }

  async killSpeaker(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.end(this.speaker, signal);
    this.speaker = undefined;
  }

  state(): Promise<FromSpeaker> {
    return this.ask({ kind: 'state' });
  }

  /** Our speaker's routing table. */
  table(): Promise<readonly RouteReport[]> {
    return this.ask({ kind: 'routes' });
  }

  // One question at a time.
  private async ask<T>(message: ToSpeaker): Promise<T> {
    this.say(message);
    const [answer] = (await once(this.speaker!, 'message')) as [T];
    return answer;
  }

  async established(milliseconds = 15_000): Promise<void> {
    const up = async () => (await this.state()).peers[0]?.state === 'established';
    await eventually('the session is established', up, milliseconds);
  }

  /** A daemon in the right namespace. */
  startDaemon(argv: readonly string[]): ChildProcess {
    return this.spawnIn(this.right, argv);
  }

  spawnIn(netns: string, argv: readonly string[]): ChildProcess {
    return this.spawn(netns, argv, false);
  }

  async end(child: ChildProcess | undefined, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  // `ip netns exec` becomes the program, so that the child's pid is the program's own.
  private spawn(netns: string, argv: readonly string[], ipc: boolean): ChildProcess {
    const quiet = process.env['CKT_VERBOSE'] ? 'inherit' : 'ignore';
    const stdio = ['ignore', quiet, quiet, ...(ipc ? ['ipc' as const] : [])] as const;
    const child = spawn('ip', ['netns', 'exec', netns, ...argv], { stdio: [...stdio] });
    this.children.add(child);
    return child;
  }

  file(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    return path;
  }

  /** Our kernel's routes of protocol bird, one a line. */
  routes(): readonly string[] {
    const text = run(['ip', '-n', this.left, 'route', 'show', 'proto', 'bird']);
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
  }

  /** Waits until our kernel has exactly these routes. */
  async routesAre(expected: readonly string[], milliseconds = 10_000): Promise<void> {
    const wanted = expected.toSorted().join('\n');
    await eventually(
      `routes are ${wanted}, not ${this.routes().join(' | ')}`,
      () => this.routes().toSorted().join('\n') === wanted,
      milliseconds,
    );
  }

  inRight(argv: readonly string[]): string {
    return run(['ip', 'netns', 'exec', this.right, ...argv]);
  }

  async close(): Promise<void> {
    for (const child of this.children) await this.end(child);
    for (const netns of [this.left, this.right]) attempt(['ip', 'netns', 'del', netns]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const object = (
  kind: string,
  name: string,
  spec: object,
  annotations?: Readonly<Record<string, string>>,
  labels?: object,
): string => {
  const metadata = { name, ...(annotations ? { annotations } : {}), ...(labels ? { labels } : {}) };
  return JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata, spec });
};
const nodeObject = (name: string, bgp: object): [string, string] => [
  resourceKey('nodes', name),
  object('Node', name, { bgp }),
];
const podKey = (workload: string): string => {
  const id = { node: 'ours', orchestrator: 'k8s', workload, endpoint: 'eth0' };
  return namespacedKey('workloadendpoints', 'default', workloadEndpointName(id));
};
