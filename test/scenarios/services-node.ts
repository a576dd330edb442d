// A node with pods that answer, a host outside, and the service engine on the node's packet filter.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ServiceEngine, type ServiceEngineOptions } from '../../src/agent/services/engine.io.ts';
import { FlowPurge } from '../../src/agent/services/flow-purge.io.ts';
import { Localnet, withoutLocalnet } from '../../src/agent/services/localnet.io.ts';
import { servesLocalhost } from '../../src/agent/services/model/node-ports.ts';
import { RenderedModel } from '../../src/agent/services/model/rendered-model.ts';
import { serviceProxySettings } from '../../src/agent/services/settings.ts';
import { openLog } from '../../src/base/log.io.ts';
import { openConnections } from '../../src/kernel/conntrack/conntrack.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { inNetns, openNetns } from '../../src/kernel/namespaces.io.ts';
import { openKernel } from '../../src/kernel/netns.io.ts';
import type { WholeObject } from '../../src/kubernetes/api.ts';
import { type MemoryKubernetes, memoryKubernetes } from '../../src/kubernetes/memory.ts';
import { ip } from '../../src/net/ip.ts';
import { attempt } from '../lab/command.ts';
import { netnsPath, type TestNetns, withNetns } from '../lab/netns.ts';
import { call, heard } from './call.ts';
import { exec, type Pod, wirePod } from './policy-pods.ts';

export const NODE_ADDRESS = '10.9.0.1';
export const OUTSIDE_ADDRESS = '10.9.0.2';
export const PORT = 8080;
const WHO = join(import.meta.dirname, 'who.ts');
/** For the answer to a SYN, and for the words of a server that took the call: it may be a busy one. */
const [PATIENCE_MILLISECONDS, ANSWER_MILLISECONDS] = [1000, 10_000];
const POD_RANGES = '10.65.0.0/16,fd00:65::/64';

export interface ServicesNode {
  readonly node: TestNetns;
  /** A host that is no pod and no node. */
  readonly outside: TestNetns;
  readonly pods: readonly Pod[];
  readonly kubernetes: MemoryKubernetes;
  /** Starts an engine; resolves when it has written everything. */
  start(extra?: Partial<ServiceEngineOptions>, env?: Record<string, string>): Promise<Running>;
}

export interface Running {
  readonly engine: ServiceEngine;
  /** Resolves when what was put before is in the kernel. */
  settled(): Promise<void>;
}

export interface Ask {
  readonly from: TestNetns;
  readonly to: string;
  readonly port: number;
  /** Absent: TCP. */
  readonly udpFrom?: number;
}

/** `NAME ASKER` of who answers; undefined: nobody, or a refusal. */
export function ask({ from, to, port, udpFrom }: Ask): string | undefined {
  const milliseconds = PATIENCE_MILLISECONDS;
  if (udpFrom === undefined) {
    const said = (fd: number) => heard(fd, ANSWER_MILLISECONDS)?.trim();
    return call({ from, to, port, milliseconds }, said).value || undefined;
  }
  const udp = [process.execPath, WHO, 'ask', to, String(port), String(udpFrom)];
  const { ok, output } = attempt(['ip', 'netns', 'exec', from.name, ...udp]);
  return ok && output !== '' ? output.trim() : undefined;
}

/**
 * Whether a connection is refused, rather than left without an answer. What comes back while
 * connect(2) is still at work is not heard: then it is the second SYN, a second later.
 */
export function isRefused(from: TestNetns, to: string, port: number): boolean {
  const milliseconds = 3 * PATIENCE_MILLISECONDS;
  return call({ from, to, port, milliseconds }, () => undefined).outcome === 'refused';
}

async function answering(pods: readonly Pod[]): Promise<readonly ChildProcess[]> {
  const servers = pods.map((pod) =>
    fork(WHO, ['serve', pod.name, String(PORT)], {
      execPath: 'ip',
      execArgv: ['netns', 'exec', pod.netns.name, process.execPath],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  );
  await Promise.all(servers.map((server) => once(server, 'message')));
  return servers;
}

function wireOutside(node: TestNetns, outside: TestNetns): void {
  const lines = 'link add uplink type veth peer name eth0 netns';
  exec(node, 'ip', ...lines.split(' '), outside.name);
  exec(node, 'ip', 'address', 'add', `${NODE_ADDRESS}/24`, 'dev', 'uplink');
  exec(node, 'ip', 'link', 'set', 'uplink', 'up');
  exec(outside, 'ip', 'address', 'add', `${OUTSIDE_ADDRESS}/24`, 'dev', 'eth0');
  exec(outside, 'ip', 'link', 'set', 'eth0', 'up');
  exec(outside, 'ip', 'route', 'add', 'default', 'via', NODE_ADDRESS);
  // The route of a packet is looked up before its address is translated.
  exec(node, 'ip', 'route', 'add', 'default', 'via', OUTSIDE_ADDRESS);
}

/** Pods `a`, `b` and so on, which answer on PORT with their names. */
export async function withServicesNode(
  names: readonly string[],
  work: (bench: ServicesNode) => Promise<void>,
): Promise<void> {
  const namespaces = withNetns(`ckt-services-${process.pid}`, ['node', 'outside', ...names]);
  const [node, outside, ...rest] = namespaces as [TestNetns, TestNetns, ...TestNetns[]];
  const engines: ServiceEngine[] = [];
  let servers: readonly ChildProcess[] = [];
  try {
    exec(node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    wireOutside(node, outside);
    const pods = rest.map((netns, i) => wirePod(node, netns, names[i]!, i + 2));
    servers = await answering(pods);
    const kubernetes = memoryKubernetes();
    kubernetes.put('nodes', {
      metadata: { name: 'node1' },
      status: { addresses: [{ type: 'InternalIP', address: NODE_ADDRESS }] },
    });
    const start: ServicesNode['start'] = async (extra, env) => {
      const running = await startEngine(node, kubernetes, extra, env);
      engines.push(running.engine);
      return running;
    };
    await work({ node, outside, pods, kubernetes, start });
  } finally {
    for (const engine of engines) await engine.close();
    for (const server of servers) server.kill('SIGKILL');
    for (const namespace of namespaces) namespace.remove();
  }
}

async function startEngine(
  node: TestNetns,
  kubernetes: MemoryKubernetes,
  extra: Partial<ServiceEngineOptions> = {},
  env: Record<string, string> = {},
): Promise<Running> {
  const settings = serviceProxySettings({
    CALICO_SERVICE_PROXY: 'true',
    CALICO_SERVICE_PROXY_CLUSTER_CIDR: POD_RANGES,
    ...env,
  });
  if (!settings.ok || !settings.value) throw new Error(settings.ok ? 'off' : settings.error);
  const place = { netnsPath: netnsPath(node.name), backend: 'nft' } as const;
  const log = openLog('test', 'silent');
  const model = new RenderedModel('node1', settings.value);
  const fd = openNetns(place.netnsPath);
  const purge = new FlowPurge({
    connections: openConnections((work) => inNetns(fd, work)),
    ownAddresses: () => [ip(NODE_ADDRESS)],
    log,
  });
  const kernel = openKernel().enter(place.netnsPath);
  const localnet = servesLocalhost(settings.value, 4) ? new Localnet(kernel, log) : undefined;
  const tables = await openTables(place);
  if (!localnet) await withoutLocalnet(kernel, tables, log);
  let heard = Promise.withResolvers<void>();
  const engine = new ServiceEngine({
    node: 'node1',
    model,
    kubernetes,
    tables,
    ipv6Tables: await openTables({ ...place, family: 6 }),
    takeOver: settings.value.takeOver,
    log,
    kubeProxyRuns: async () => false,
    onWritten: () => {
      localnet?.guarded();
      // A look at the kernel that was under way when a change came has not written it.
      const isAll = engine.changes.pending.since === undefined;
      void purge.written(model.udp()).then(() => {
        if (!isAll) return;
        heard.resolve();
        heard = Promise.withResolvers();
      });
    },
    groupMilliseconds: 5,
    ...extra,
  });
  await heard.promise;
  return { engine, settled: () => heard.promise };
}

export const service = (name: string, spec: object, more: object = {}): WholeObject =>
  ({
    metadata: { name, namespace: 'default' },
    spec: { type: 'ClusterIP', sessionAffinity: 'None', ...spec },
    ...more,
  }) as WholeObject;

/** The pods' endpoints behind a service, `PORT` of each; `nodeName` where it matters. */
export const slice = (
  of: string,
  pods: readonly Pod[],
  protocol = 'TCP',
  nodeName = 'node1',
): WholeObject =>
  ({
    metadata: {
      name: `${of}-1`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': of },
    },
    addressType: 'IPv4',
    endpoints: pods.map(({ address }) => ({
      addresses: [address],
      nodeName,
      conditions: { ready: true, serving: true, terminating: false },
    })),
    ports: [{ name: '', protocol, port: PORT }],
  }) as WholeObject;
