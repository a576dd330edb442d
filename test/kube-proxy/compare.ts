// kube-proxy and we, asked for the same services: the whole text of the save commands must be equal.
// This process is in kube-proxy's network namespace; ours is named in the first argument.
//   node compare.ts NAMESPACE SEED WORLDS SETTINGS
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RenderedModel } from '../../src/agent/services/model/rendered-model.ts';
import { serviceProxySettings } from '../../src/agent/services/settings.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import type { Node, WholeObject } from '../../src/kubernetes/api.ts';
import { type Family, type Ip, parseIp } from '../../src/net/ip.ts';
import { ServiceWriter } from '../../src/services/write/writer.io.ts';
import { toolPath } from '../cluster/tools.ts';
import { eventually, run } from '../lab/command.ts';
import { type FakeApiServer, startFakeApiServer } from '../lab/fake-api-server.ts';
import { netnsPath } from '../lab/netns.ts';
import { COUNTING, shown, withoutStale } from './shown.ts';
import {
  NODE,
  NODE_ADDRESSES,
  type ProxySettings,
  randomWorld,
  SETTINGS,
  standingServices,
  type World,
  ZONE,
} from './world.ts';

export interface Compared {
  readonly worlds: number;
  /** Of all worlds together, and the chains. */
  readonly rules: number;
  readonly differences: readonly string[];
  /** Names and kinds of kube-proxy's own figures. */
  readonly figures: readonly string[];
}

const FAMILIES: readonly Family[] = [4, 6];
const PATIENCE_MILLISECONDS = 30_000;
const SHOWN_MOST = 12;
const LOOPBACK = ['127.0.0.1', '::1'];
const [TRIES, TRY_MILLISECONDS] = [20, 100];

const kubeProxyConfig = (kubeconfig: string, settings: ProxySettings): string =>
  `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: ${JSON.stringify(settings.clusterCidr)}
hostnameOverride: ${NODE}
nodePortAddresses: ${JSON.stringify(settings.nodePortAddresses)}
clientConnection:
  kubeconfig: ${kubeconfig}
  contentType: application/json
  acceptContentTypes: application/json
conntrack: {maxPerCore: 0, min: 0}
iptables:
  localhostNodePorts: ${settings.localhostNodePorts ?? false}
  masqueradeAll: ${settings.masqueradeAll}
  masqueradeBit: ${settings.masqueradeBit}
  minSyncPeriod: 20ms
featureGates: {WatchListClient: false}
`;

async function startKubeProxy(api: FakeApiServer, settings: ProxySettings): Promise<ChildProcess> {
  const config = join(dirname(api.kubeconfig), 'kube-proxy.yaml');
  writeFileSync(config, kubeProxyConfig(api.kubeconfig, settings));
  const log = process.env['DEBUG'] ? 'inherit' : 'ignore';
  return spawn(await toolPath('kube-proxy'), ['--config', config], {
    stdio: ['ignore', 'ignore', log],
  });
}

const marker = (n: number): WholeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'marker', namespace: 'random', uid: 'marker' },
    spec: {
      type: 'ClusterIP',
      clusterIP: '172.31.0.1',
      clusterIPs: ['172.31.0.1', 'fd00:31::1'],
      ipFamilies: ['IPv4', 'IPv6'],
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      ports: [{ name: '', protocol: 'TCP', port: n, targetPort: 1 }],
    },
    status: { loadBalancer: {} },
  }) as unknown as WholeObject;

const node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: NODE, labels: { 'topology.kubernetes.io/zone': ZONE } },
  spec: {},
  status: { addresses: NODE_ADDRESSES.map((address) => ({ type: 'InternalIP', address })) },
};

class Comparison {
  private readonly api: FakeApiServer;
  private readonly netns: string;
  private readonly model: RenderedModel;
  private readonly writers: ReadonlyMap<Family, ServiceWriter>;
  private readonly own: Ip[];
  private readonly standing: Omit<World, 'addresses'>;
  private former: World = { services: [], slices: [], addresses: [] };
  rules = 0;

  private constructor(
    api: FakeApiServer,
    netns: string,
    model: RenderedModel,
    writers: ReadonlyMap<Family, ServiceWriter>,
    own: Ip[],
    standing: Omit<World, 'addresses'>,
  ) {
    this.api = api;
    this.netns = netns;
    this.model = model;
    this.writers = writers;
    this.own = own;
    this.standing = standing;
    for (const one of standing.services) model.putService(one);
    for (const one of standing.slices) model.putSlice(one);
  }

  static async open(
    api: FakeApiServer,
    netns: string,
    settings: ProxySettings,
    standing: Omit<World, 'addresses'>,
  ) {
    const parsed = serviceProxySettings({
      CALICO_SERVICE_PROXY: 'true',
      CALICO_SERVICE_PROXY_CLUSTER_CIDR: settings.clusterCidr,
      CALICO_SERVICE_PROXY_NODEPORT_ADDRESSES: settings.nodePortAddresses.join(),
      CALICO_SERVICE_PROXY_MASQUERADE_ALL: String(settings.masqueradeAll),
      CALICO_SERVICE_PROXY_MASQUERADE_BIT: String(settings.masqueradeBit),
      CALICO_SERVICE_PROXY_LOCALHOST_NODE_PORTS: String(settings.localhostNodePorts ?? false),
      CALICO_SERVICE_PROXY_EXTERNAL_CIDRS: '0.0.0.0/0,::/0',
    });
    if (!parsed.ok || !parsed.value) throw new Error(parsed.ok ? 'off' : parsed.error);
    const own = [...LOOPBACK, ...NODE_ADDRESSES].flatMap((text) => parseIp(text) ?? []);
    const machine = { addresses: () => own, liberal: false };
    const model = new RenderedModel(NODE, parsed.value, machine);
    model.putNode(node as unknown as Node);
    const writers = new Map<Family, ServiceWriter>();
    for (const family of FAMILIES) {
      const place = { netnsPath: netnsPath(netns), backend: 'nft', family } as const;
      writers.set(family, new ServiceWriter(await openTables(place)));
    }
    return new Comparison(api, netns, model, writers, own, standing);
  }

  /** What differs in the world of this seed. */
  async world(seed: number, n: number): Promise<readonly string[]> {
    const world = randomWorld(seed);
    this.replace(world, n);
    for (const family of FAMILIES) {
      const wanted = new RegExp(`marker.*--dport ${n} `);
      await eventually(
        `kube-proxy has world ${seed}`,
        () => shown(family).some((line) => wanted.test(line)),
        PATIENCE_MILLISECONDS,
      );
      await this.writers.get(family)!.apply(this.model.wanted(family));
    }
    const differ = () => FAMILIES.flatMap((family) => this.differ(family, seed));
    // Endpoints come to kube-proxy by another connection than the marker does.
    let lines = differ();
    for (let tries = 0; lines.length > 0 && tries < TRIES; tries++) {
      await new Promise((resolve) => setTimeout(resolve, TRY_MILLISECONDS));
      lines = differ();
    }
    for (const family of FAMILIES) this.rules += shown(family, this.netns).length;
    return lines;
  }

  private replace(world: World, n: number): void {
    const { api, model, former } = this;
    const keyOf = ({ metadata }: WholeObject): string =>
      `${metadata.namespace ?? ''}/${metadata.name}`;
    const gone = (was: readonly WholeObject[], is: readonly WholeObject[]) =>
      was.filter((one) => !is.some((other) => keyOf(other) === keyOf(one)));
    const services = [...world.services, marker(n)];
    this.changeAddresses(former.addresses, world.addresses);
    for (const one of gone(former.slices, world.slices)) {
      api.remove('endpointslices', one.metadata.name, one.metadata.namespace);
      model.removeSlice(keyOf(one));
    }
    for (const one of gone(former.services, services)) {
      api.remove('services', one.metadata.name, one.metadata.namespace);
      model.removeService(keyOf(one));
    }
    for (const one of world.slices) {
      api.put('endpointslices', one as never);
      model.putSlice(one);
    }
    // The marker comes last, so that all is known where it is seen.
    for (const one of services) {
      api.put('services', one as never);
      model.putService(one);
    }
    this.former = { ...world, services };
  }

  private changeAddresses(former: readonly string[], now: readonly string[]): void {
    const change = (verb: 'add' | 'del', address: string): void => {
      const [length, ...more] = address.includes(':') ? [64, 'nodad'] : [24];
      const words = verb === 'add' ? more.map(String) : [];
      run(['ip', 'address', verb, `${address}/${length}`, 'dev', 'eth0', ...words]);
    };
    for (const address of former) if (!now.includes(address)) change('del', address);
    for (const address of now) if (!former.includes(address)) change('add', address);
    const all = [...LOOPBACK, ...NODE_ADDRESSES, ...now];
    this.own.splice(0, this.own.length, ...all.flatMap((text) => parseIp(text) ?? []));
    this.model.addressesChanged();
  }

  private differ(family: Family, seed: number): readonly string[] {
    const isLarge = this.standing.services.length > 0;
    const told = shown(family);
    const theirs = isLarge ? withoutStale(told) : told;
    const counts = theirs.some((line) => COUNTING.test(line));
    const ours = shown(family, this.netns).filter((line) => counts || !COUNTING.test(line));
    const [has, have] = [new Set(theirs), new Set(ours)];
    const lines = [
      ...theirs.filter((line) => !have.has(line)).map((line) => `  kube-proxy: ${line}`),
      ...ours.filter((line) => !has.has(line)).map((line) => `  ours:       ${line}`),
    ];
    const isSame = lines.length === 0 && theirs.length === ours.length;
    return isSame ? [] : [`world ${seed}, IPv${family}:`, ...lines.slice(0, SHOWN_MOST)];
  }
}

async function compare(netns: string, seed: number, worlds: number, settings: ProxySettings) {
  const api = await startFakeApiServer();
  api.put('nodes', node as never);
  const standing = standingServices(settings.standing ?? 0);
  for (const one of standing.slices) api.put('endpointslices', one as never);
  for (const one of standing.services) api.put('services', one as never);
  const child = await startKubeProxy(api, settings);
  try {
    const comparison = await Comparison.open(api, netns, settings, standing);
    const differences: string[] = [];
    for (let i = 0; i < worlds; i++) differences.push(...(await comparison.world(seed + i, i + 1)));
    const page = await (await fetch('http://127.0.0.1:10249/metrics')).text();
    const figures = [...page.matchAll(/^# TYPE (kubeproxy_\S+ \S+)/gm)].map(([, kind]) => kind!);
    return { worlds, rules: comparison.rules, differences, figures } satisfies Compared;
  } finally {
    child.kill('SIGKILL');
    api.close();
  }
}

if (import.meta.main) {
  const [netns = '', seed, worlds, settings] = process.argv.slice(2);
  run(['ip', 'link', 'set', 'lo', 'up']);
  run(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0-peer']);
  run(['ip', 'address', 'add', `${NODE_ADDRESSES[0]}/24`, 'dev', 'eth0']);
  run(['ip', 'address', 'add', `${NODE_ADDRESSES[1]}/64`, 'dev', 'eth0', 'nodad']);
  run(['ip', 'link', 'set', 'eth0', 'up']);
  run(['ip', 'link', 'set', 'eth0-peer', 'up']);
  const chosen = SETTINGS[Number(settings)]!;
  console.log(JSON.stringify(await compare(netns, Number(seed), Number(worlds), chosen)));
  process.exit(0);
}
