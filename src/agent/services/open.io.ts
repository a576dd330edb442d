// The service proxy of this node as the agent runs it: the engine, and what goes with its rules. It
// waits for nothing but the Kubernetes API: the datastore itself may be behind a Service.
import { existsSync } from 'node:fs';
import type { Log } from '../../base/log.io.ts';
import type { Registry } from '../../base/metrics.io.ts';
import { OpError } from '../../base/op-error.ts';
import { openConnections } from '../../kernel/conntrack/conntrack.io.ts';
import { openTables } from '../../kernel/iptables/tables.io.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import { ServiceEngine } from './engine.io.ts';
import { FlowPurge } from './flow-purge.io.ts';
import { HealthChecks } from './health-checks.io.ts';
import { ServiceMetrics } from './metrics.io.ts';
import { RenderedModel } from './rendered-model.ts';
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
  readonly kernel: Pick<Kernel, 'addresses'>;
  readonly log: Log;
  readonly registry: Registry;
}

const IPV6 = '/proc/net/if_inet6';

/** Throws OpError when there is no Kubernetes API to ask. */
export async function openNodeServices(parts: NodeServicesParts): Promise<NodeServices> {
  const { kubernetes, kernel, log, registry, settings, node } = parts;
  if (!kubernetes) throw new OpError('serve services', 'no Kubernetes API is configured');
  const metrics = new ServiceMetrics(registry);
  const ownAddresses = () => kernel.addresses().map(({ ip }) => ip);
  const model = new RenderedModel(node, settings, ownAddresses, (service, why) =>
    log.warn({ service }, `not served: ${why}`),
  );
  const purge = new FlowPurge({ connections: openConnections(), ownAddresses, log });
  // With restore children of its own: a full sync must not hold up a pod's policy.
  const engine: ServiceEngine = new ServiceEngine({
    node,
    model,
    takeOver: settings.takeOver,
    kubernetes,
    log,
    tables: await openTables({}),
    ipv6Tables: existsSync(IPV6) ? await openTables({ family: 6 }) : undefined,
    observer: metrics.observer,
    onWritten: () => {
      void purge.written(model.udp());
      checks.update(model.healthChecks());
    },
  });
  const checks = new HealthChecks({ healthy: () => engine.problem === undefined, log });
  metrics.measure(engine);
  return {
    get problem() {
      return engine.problem;
    },
    close: async () => {
      checks.close();
      await engine.close();
    },
  };
}
