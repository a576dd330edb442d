// Pods of one node in namespaces, with the policy engine on the node's own packet filter.
import pino from 'pino';
import {
  openPolicyEngine,
  type PolicyEngine,
  type PolicyEngineOptions,
} from '../../src/agent/policy-engine.io.ts';
import { systemClock } from '../../src/base/clock.io.ts';
import type { KeyValue } from '../../src/datastore/store.ts';
import { openIpSets } from '../../src/kernel/ipset/ipsets.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import type { IpSets, Tables } from '../../src/kernel/tables.ts';
import { ip } from '../../src/net/ip.ts';
import { attempt, run } from '../lab/command.ts';
import { netnsPath, type TestNetns, withNetns } from '../lab/netns.ts';
import { call } from './call.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const WAIT_MILLISECONDS = 400;

export interface Pod {
  readonly name: string;
  readonly address: string;
  /** Wired, whether the pod's endpoint tells of it or not. */
  readonly ipv6: string;
  readonly netns: TestNetns;
}

const GATEWAY_V6 = 'fe80::ecee:eeff:feee:eeee';
export const VIA_GATEWAY = ['via', GATEWAY_V6, 'dev', 'eth0'] as const;

export const exec = (netns: TestNetns, ...argv: string[]): string =>
  run(['ip', 'netns', 'exec', netns.name, ...argv]);

/** A pod as ADD makes it: what is not its own it reaches through the host's end of its veth. */
export function wirePod(node: TestNetns, netns: TestNetns, name: string, last: number): Pod {
  const [address, ipv6] = [`10.65.0.${last}`, `fd00:65::${last}`];
  const device = `cali${name}`;
  const gateway = 'ee:ee:ee:ee:ee:ee';
  const inPod = (...argv: string[]) => exec(netns, 'ip', ...argv);
  const onNode = (...argv: string[]) => exec(node, 'ip', ...argv);
  onNode('link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  for (const key of ['accept_dad=0', 'proxy_ndp=1', 'forwarding=1'])
    exec(node, 'sysctl', '-qw', `net.ipv6.conf.${device}.${key}`);
  exec(netns, 'sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0');
  onNode('link', 'set', device, 'address', gateway, 'up');
  onNode('route', 'add', address, 'dev', device, 'scope', 'link');
  onNode('route', 'add', ipv6, 'dev', device);
  inPod('address', 'add', `${address}/32`, 'dev', 'eth0');
  inPod('link', 'set', 'eth0', 'up');
  inPod('address', 'add', `${ipv6}/128`, 'dev', 'eth0');
  inPod('route', 'add', '169.254.1.1', 'dev', 'eth0', 'scope', 'link');
  inPod('route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0');
  // Permanent: the table of learnt neighbours is one for all namespaces, and others may fill it.
  const { address: mac } = JSON.parse(inPod('-j', 'link', 'show', 'eth0'))[0] as {
    address: string;
  };
  onNode('neigh', 'add', address, 'dev', device, 'lladdr', mac);
  inPod('neigh', 'add', '169.254.1.1', 'dev', 'eth0', 'lladdr', gateway);
  inPod('-6', 'route', 'add', 'default', ...VIA_GATEWAY);
  return { name, address, ipv6, netns };
}

/** What the pod knows of its IPv6 gateway after it has asked for it anew. */
export function askForGateway({ netns }: Pod): string {
  exec(netns, 'ip', '-6', 'neigh', 'flush', 'dev', 'eth0');
  attempt(['ip', 'netns', 'exec', netns.name, 'ping', '-6', '-c1', '-W1', `${GATEWAY_V6}%eth0`]);
  return exec(netns, 'ip', '-6', 'neigh', 'show', GATEWAY_V6);
}

/** Nobody listens: a refusal has been there and back, silence was dropped. */
export function reaches({ netns }: Pod, to: string, port: number): boolean {
  const { outcome } = call({ from: netns, to, port, milliseconds: WAIT_MILLISECONDS }, () => {});
  return outcome === 'refused';
}

export const stored = (
  path: string,
  kind: string,
  spec: object,
  labels: object = {},
): KeyValue => ({
  key: ROOT + path,
  value: JSON.stringify({
    kind,
    apiVersion: 'projectcalico.org/v3',
    metadata: { name: path.slice(path.lastIndexOf('/') + 1), namespace: 'default', labels },
    spec,
  }),
  revision: 1n,
});

/** A pod's endpoint with its IPv4 address, and more. */
export const endpoint = (
  { name, address }: Pod,
  app: string,
  more: readonly string[] = [],
  spec: object = {},
): KeyValue =>
  stored(
    `workloadendpoints/default/node1-k8s-${name}-eth0`,
    'WorkloadEndpoint',
    {
      node: 'node1',
      interfaceName: `cali${name}`,
      ipNetworks: [`${address}/32`, ...more],
      profiles: ['kns.default'],
      ports: [{ name: 'web', protocol: 'TCP', port: 8080 }],
      ...spec,
    },
    { app, 'projectcalico.org/namespace': 'default', 'projectcalico.org/orchestrator': 'k8s' },
  );

export const PROFILE = stored('profiles/kns.default', 'Profile', {
  ingress: [{ action: 'Allow' }],
  egress: [{ action: 'Allow' }],
});
const policy = (name: string, spec: object): KeyValue =>
  stored(`networkpolicies/default/knp.default.${name}`, 'NetworkPolicy', { order: 1000, ...spec });
export const DENY = policy('deny', { selector: 'all()', types: ['Ingress'] });
export const ALLOW = policy('allow', {
  selector: "app == 'server'",
  types: ['Ingress'],
  ingress: [
    {
      action: 'Allow',
      protocol: 'TCP',
      source: { selector: "app == 'client'" },
      destination: { ports: [80, 'web'] },
    },
  ],
});

export interface Counted {
  readonly tables: Tables;
  readonly ipv6Tables: Tables;
  readonly ipSets: IpSets;
  commits: number;
  close(): Promise<void>;
}

/** The packet filter of a namespace; `commits` counts what it was told. */
export async function openCounted(node: TestNetns): Promise<Counted> {
  const place = { netnsPath: netnsPath(node.name) };
  const [four, six] = [await openTables(place), await openTables({ ...place, family: 6 })];
  const sets = await openIpSets(place);
  const countedTables = (tables: Tables): Tables => ({
    ...tables,
    commit: (transaction) => {
      count.commits++;
      return tables.commit(transaction);
    },
  });
  const count: Counted = {
    commits: 0,
    tables: countedTables(four),
    ipv6Tables: countedTables(six),
    ipSets: {
      ...sets,
      commit: (changes) => {
        count.commits++;
        return sets.commit(changes);
      },
    },
    close: async () => {
      await four.close();
      await six.close();
      await sets.close();
    },
  };
  return count;
}

function start(kernel: Counted, items: readonly KeyValue[], extra: Extra): PolicyEngine {
  const engine = openPolicyEngine({
    node: 'node1',
    tables: kernel.tables,
    ipv6Tables: kernel.ipv6Tables,
    ipSets: kernel.ipSets,
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => ip('10.244.98.1'),
    log: pino({ level: 'silent' }),
    clock: systemClock,
    checkMilliseconds: 200,
    ...extra,
  });
  engine.snapshot(items);
  return engine;
}

type Extra = Partial<PolicyEngineOptions>;

export interface Bench {
  readonly node: TestNetns;
  readonly pods: readonly Pod[];
  readonly kernel: Counted;
  /** An engine on the node's packet filter, with the datastore's first snapshot. */
  readonly start: (items: readonly KeyValue[], extra?: Extra) => PolicyEngine;
  /** No engine runs any more; what they wrote stays. */
  readonly stop: () => Promise<void>;
}

/** A node that forwards, and pods `a`, `b` and so on wired to it. */
export async function withPods(
  names: readonly string[],
  work: (bench: Bench) => Promise<void>,
): Promise<void> {
  const namespaces = withNetns(`ckt-policy-${process.pid}`, ['node', ...names]);
  let kernel: Counted | undefined;
  const engines: PolicyEngine[] = [];
  try {
    const [node, ...rest] = namespaces as [TestNetns, ...TestNetns[]];
    exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    exec(node, 'ip', 'address', 'add', '10.244.98.1/32', 'dev', 'lo');
    const pods = rest.map((netns, i) => wirePod(node, netns, names[i]!, i + 2));
    const counted = await openCounted(node);
    kernel = counted;
    const begin = (items: readonly KeyValue[], extra: Extra = {}) => {
      const engine = start(counted, items, extra);
      engines.push(engine);
      return engine;
    };
    const stop = async () => {
      for (const engine of engines.splice(0)) await engine.close();
    };
    await work({ node, pods, kernel, start: begin, stop });
  } finally {
    for (const engine of engines) await engine.close();
    await kernel?.close();
    for (const namespace of namespaces) namespace.remove();
  }
}
