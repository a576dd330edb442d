// The service proxy of this node as the agent runs it: the engine, and what goes with its rules. It
// waits for nothing but the Kubernetes API: the datastore itself may be behind a Service.
import { existsSync } from 'node:fs';
import type { Log } from '../../base/log.io.ts';
import type { Registry } from '../../base/metrics.io.ts';
import { OpError } from '../../base/op-error.ts';
import { openConnections } from '../../kernel/conntrack/conntrack.io.ts';
import { openTables } from '../../kernel/iptables/tables.io.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Tables } from '../../kernel/tables.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { ServiceEngine } from './engine.io.ts';
import { FlowPurge } from './flow-purge.io.ts';
import { HealthChecks } from './health-checks.io.ts';
import { Localnet, withoutLocalnet } from './localnet.io.ts';
import { ServiceMetrics } from './metrics.io.ts';
import { servesLocalhost } from './model/node-ports.ts';
import { RenderedModel } from './model/rendered-model.ts';
import { PacketCounts } from './packet-counts.io.ts';
import { ProxyHealth, type ProxyHealthOptions } from './proxy-health.io.ts';
import type { ServiceProxySettings } from './settings.ts';

/** What the agent knows of a running service proxy. */
export interface NodeServices {
  /** Why services are not served as they should be. */
  readonly problem: string | undefined;
  close(): Promise<void>;
}

export interface NodeServicesParts {
  readonly node: string;
  readonly settings: ServiceProxySettings;
  readonly kubernetes: KubernetesApi | undefined;
  readonly kernel: Pick<Kernel, 'addresses' | 'subscribe' | 'getSysctl' | 'setSysctl'>;
  readonly log: Log;
  readonly registry: Registry;
}

const IPV6 = '/proc/net/if_inet6';

/** Throws OpError when there is no Kubernetes API to ask. */
export async function openNodeServices(parts: NodeServicesParts): Promise<NodeServices> {
  const { kubernetes, kernel, log, registry, settings, node } = parts;
  if (!kubernetes) throw new OpError('serve services', 'no Kubernetes API is configured');
  const metrics = new ServiceMetrics(registry);
  const addresses = () => kernel.addresses().map(({ ip }) => ip);
  const machine = { addresses, liberal: isLiberal(kernel) };
  const model = new RenderedModel(node, settings, machine, (service, why) =>
    log.warn({ service }, `not served: ${why}`),
  );
  const looked = metrics.purged;
  const purge = new FlowPurge({
    connections: openConnections(),
    ownAddresses: addresses,
    looked,
    log,
  });
  const localnet = servesLocalhost(settings, 4) ? new Localnet(kernel, log) : undefined;
  // With restore children of its own: a full sync must not hold up a pod's policy.
  const tables = await openTables({});
  const ipv6Tables = existsSync(IPV6) ? await openTables({ family: 6 }) : undefined;
  if (!localnet) await withoutLocalnet(kernel, tables, log);
  const engine: ServiceEngine = new ServiceEngine({
    node,
    model,
    // Who may claim addresses must not claim a node's.
    allNodes: settings.externalCidrs.length > 0,
    takeOver: settings.takeOver,
    kubernetes,
    log,
    tables,
    ipv6Tables,
    observer: metrics.observer,
    onWritten: () => {
      localnet?.guarded();
      void purge.written(model.udp());
      checks.update(model.healthChecks());
    },
  });
  const hosts = () => hostsOf(model, ipv6Tables !== undefined);
  const healthy = () => engine.problem === undefined;
  const checks = new HealthChecks({ healthy, hosts, log });
  const health = openHealth(settings, { healthy, answered: metrics.answered, log }, model, engine);
  measure(metrics, { engine, model, tables, ipv6Tables, servesLocalhost: localnet !== undefined });
  const stop = new AbortController();
  if (settings.nodePortAddresses.length > 0) followAddresses(parts, model, engine, stop.signal);
  return {
    get problem() {
      return engine.problem;
    },
    close: async () => {
      stop.abort();
      health?.close();
      checks.close();
      await engine.close();
    },
  };
}

function openHealth(
  { healthAddress: host }: ServiceProxySettings,
  options: Pick<ProxyHealthOptions, 'healthy' | 'answered' | 'log'>,
  model: RenderedModel,
  engine: ServiceEngine,
): ProxyHealth | undefined {
  const eligible = () => model.isEligible;
  const lastUpdated = () => engine.updatedAt;
  return host && new ProxyHealth({ ...options, host, eligible, lastUpdated });
}

interface Measurable {
  readonly engine: ServiceEngine;
  readonly model: RenderedModel;
  readonly tables: Tables;
  readonly ipv6Tables: Tables | undefined;
  readonly servesLocalhost: boolean;
}

function measure(metrics: ServiceMetrics, parts: Measurable): void {
  const { engine, model, tables, ipv6Tables, servesLocalhost } = parts;
  const all = ipv6Tables ? [tables, ipv6Tables] : [tables];
  const counts = new PacketCounts({ tables: all, servesLocalhost });
  const families = ipv6Tables ? ([4, 6] as const) : ([4] as const);
  metrics.measure({ engine, model, families, dropped: () => counts.read() });
}

// Node ports on some addresses only: the machine's may change.
function followAddresses(
  { kernel }: NodeServicesParts,
  model: RenderedModel,
  engine: ServiceEngine,
  signal: AbortSignal,
): void {
  kernel.subscribe(({ kind }) => {
    if ((kind === 'address' || kind === 'lost') && model.addressesChanged())
      engine.machineChanged();
  }, signal);
}

function hostsOf(model: RenderedModel, hasIpv6: boolean): readonly string[] | undefined {
  const [four, six] = [model.nodePortAddresses(4), model.nodePortAddresses(6)];
  if (!four && !six) return undefined;
  return [...(four ?? ['0.0.0.0']), ...(hasIpv6 ? (six ?? ['::']) : [])];
}

function isLiberal(kernel: NodeServicesParts['kernel']): boolean {
  try {
    return kernel.getSysctl('netfilter/nf_conntrack_tcp_be_liberal').trim() !== '0';
  } catch {
    return false; // no such switch in this kernel: conntrack is strict
  }
}
