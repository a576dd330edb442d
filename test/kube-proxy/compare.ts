// kube-proxy and we, asked for the same services: the whole text of the save commands must be equal.
// This process is in kube-proxy's network namespace; ours is named in the first argument.
//   node compare.ts NAMESPACE SEED WORLDS SETTINGS
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RenderedModel } from '../../src/agent/services/rendered-model.ts';
import { serviceProxySettings } from '../../src/agent/services/settings.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import type { Node, WholeObject } from '../../src/kubernetes/api.ts';
import { type Family, parseIp } from '../../src/net/ip.ts';
import { ServiceWriter } from '../../src/services/write/writer.io.ts';
import { toolPath } from '../cluster/tools.ts';
import { eventually, run } from '../lab/command.ts';
import { type FakeApiServer, startFakeApiServer } from '../lab/fake-api-server.ts';
import { netnsPath } from '../lab/netns.ts';
import {
  NODE,
  NODE_ADDRESSES,
  type ProxySettings,
  randomWorld,
  SETTINGS,
  type World,
  ZONE,
} from './world.ts';

export interface Compared {
  readonly worlds: number;
  /** Of all worlds together, and the chains. */
  readonly rules: number;
  readonly differences: readonly string[];
}

const FAMILIES: readonly Family[] = [4, 6];
const SAVE = { 4: 'iptables-nft-save', 6: 'ip6tables-nft-save' } as const;
const TABLES = ['filter', 'nat'] as const;
const PATIENCE_MILLISECONDS = 30_000;
const SHOWN_MOST = 12;
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
  localhostNodePorts: false
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

/** kube-proxy counts what it drops as invalid in an object of the kernel's accounting, where that is
 *  there; a rule's own counter tells the same. */
const ACCOUNTING = / -m nfacct --nfacct-name +\S+/;

/** Chains and rules without counters, sorted: rules of one chain keep their order by their number. */
function shown(family: Family, netns?: string): readonly string[] {
  const where = netns ? ['nsenter', `--net=${netnsPath(netns)}`] : [];
  return TABLES.flatMap((table) => {
    const counts = new Map<string, number>();
    return run([...where, SAVE[family], '-t', table])
      .split('\n')
      .filter((line) => /^[:-]/.test(line) && !/KUBE-(PROXY|KUBELET)-CANARY/.test(line))
      .map((line) => {
        if (line.startsWith(':')) return `${table} ${line.split(' ')[0]}`;
        const [, chain = ''] = line.split(' ');
        const isList = /^KUBE-(SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL)$/.test(chain);
        const place = counts.get(chain) ?? 0;
        counts.set(chain, place + 1);
        return `${table} ${line.replace(ACCOUNTING, '')}${isList ? '' : ` #${place}`}`;
      })
      .sort();
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
  private former: World = { services: [], slices: [] };
  rules = 0;

  private constructor(
    api: FakeApiServer,
    netns: string,
    model: RenderedModel,
    writers: ReadonlyMap<Family, ServiceWriter>,
  ) {
    this.api = api;
    this.netns = netns;
    this.model = model;
    this.writers = writers;
  }

  static async open(api: FakeApiServer, netns: string, settings: ProxySettings) {
    const parsed = serviceProxySettings({
      CALICO_SERVICE_PROXY: 'true',
      CALICO_SERVICE_PROXY_CLUSTER_CIDR: settings.clusterCidr,
      CALICO_SERVICE_PROXY_NODEPORT_ADDRESSES: settings.nodePortAddresses.join(),
      CALICO_SERVICE_PROXY_MASQUERADE_ALL: String(settings.masqueradeAll),
      CALICO_SERVICE_PROXY_MASQUERADE_BIT: String(settings.masqueradeBit),
      CALICO_SERVICE_PROXY_EXTERNAL_CIDRS: '0.0.0.0/0,::/0',
    });
    if (!parsed.ok || !parsed.value) throw new Error(parsed.ok ? 'off' : parsed.error);
    const own = NODE_ADDRESSES.flatMap((text) => parseIp(text) ?? []);
    const model = new RenderedModel(NODE, parsed.value, () => own);
    model.setNode(node as unknown as Node);
    const writers = new Map<Family, ServiceWriter>();
    for (const family of FAMILIES) {
      const place = { netnsPath: netnsPath(netns), backend: 'nft', family } as const;
      writers.set(family, new ServiceWriter(await openTables(place)));
    }
    return new Comparison(api, netns, model, writers);
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
    this.former = { services, slices: world.slices };
  }

  private differ(family: Family, seed: number): readonly string[] {
    const [theirs, ours] = [shown(family), shown(family, this.netns)];
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
  const child = await startKubeProxy(api, settings);
  try {
    const comparison = await Comparison.open(api, netns, settings);
    const differences: string[] = [];
    for (let i = 0; i < worlds; i++) differences.push(...(await comparison.world(seed + i, i + 1)));
    return { worlds, rules: comparison.rules, differences } satisfies Compared;
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
