// The speaker: BGP sessions and the routes of blocks on one node. Container `bgp` of calico-node.
//
//   ETCD_ENDPOINTS          comma-separated URLs
//   NODENAME                the node's name in the datastore
//   LOG_LEVEL               info
//   BGP_HOLD_TIME_SECONDS   90; the lower value of both sides counts
//   CALICO_ROUTER_ID        empty (the node's IPv4 address), an address, or `hash`
//   FELIX_PROMETHEUSMETRICSENABLED, BGP_METRICS_PORT   false, 9092
//   BGP_HEALTH_HOST, BGP_HEALTH_PORT   127.0.0.1, 9098
//   BGP_DRAIN_SECONDS       1; how long before the end peers are asked to look for other ways
//   CALICO_K8S_NODE_REF     the node's name in Kubernetes, if another; a cordon is told to peers
//   POD_NAMESPACE           kube-system; where Secrets with passwords are
//
// SIGTERM ends it for a restart: peers keep the node's routes meanwhile. SIGQUIT ends it for good: peers are
// told so and drop them.
import { promises as fs } from 'node:fs';
import { systemClock } from '../base/clock.io.ts';
import { type Log, openLog } from '../base/log.io.ts';
import { openRegistry, serveMetrics } from '../base/metrics.io.ts';
import { messageOf } from '../base/op-error.ts';
import { pause } from '../base/pause.io.ts';
import { warmUp } from '../bgp/warm-up.ts';
import { openStore } from '../datastore/settings.io.ts';
import { openKernel } from '../kernel/netns.io.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import { openKubernetes } from '../kubernetes/client.io.ts';
import { parseEnvironment } from './environment.ts';
import { serveHealth } from './operation/health.io.ts';
import { measureConvergence, measureSpeaker } from './operation/metrics.io.ts';
import { NodeStatuses } from './operation/node-statuses.io.ts';
import { openSpeaker } from './speaker.io.ts';
import { inTurns } from './turns.io.ts';

async function main(): Promise<void> {
  // libuv's pool threads inherit the namespace of the thread that starts them: start them here.
  await fs.readFile('/proc/self/comm');
  const parsed = parseEnvironment(process.env);
  if (!parsed.ok) throw new Error(parsed.error);
  const settings = parsed.value;
  const log = openLog('bgp', settings.logLevel);
  const store = openStore(settings.etcd, log);
  const kernel = openKernel();
  // Before there are sessions: then the first routes that peers tell are worked off at full speed.
  const [kubernetes] = await Promise.all([
    settings.kubernetes ? kubernetesIfAny(log) : undefined,
    inTurns(warmUp()),
  ]);
  const speaker = openSpeaker({
    store,
    kernel,
    kubernetes,
    kubernetesNode: settings.kubernetesNode,
    namespace: settings.namespace,
    node: settings.node,
    agentRoutes: settings.agentRoutes,
    clock: systemClock,
    log,
    holdTimeSeconds: settings.holdTimeSeconds,
    routerId: settings.routerId,
    random: Math.random,
  });
  const health = serveHealth(
    { host: settings.healthHost, port: settings.healthPort, log },
    speaker,
  );
  const statuses = new NodeStatuses({ store, log, clock: systemClock, speaker });
  const registry = openRegistry();
  measureSpeaker(registry, () => speaker.report);
  speaker.convergence.took = measureConvergence(registry);
  const { metricsPort } = settings;
  const metrics = metricsPort > 0 ? serveMetrics(registry, metricsPort) : undefined;
  log.info({ node: settings.node, holdTimeSeconds: settings.holdTimeSeconds }, 'the speaker runs');
  const leaves = await new Promise<boolean>((resolve) => {
    process.once('SIGTERM', () => resolve(false));
    process.once('SIGINT', () => resolve(false));
    process.once('SIGQUIT', () => resolve(true));
  });
  speaker.drain();
  const hurry = new AbortController();
  process.once('SIGTERM', () => hurry.abort());
  await pause(settings.drainSeconds * 1000, hurry.signal);
  if (leaves) speaker.shutdown(`the speaker of node ${settings.node} is shut down`);
  statuses.close();
  await speaker.close();
  health.close();
  metrics?.close();
  store.close();
  log.info('the speaker has stopped');
}

// Without the Kubernetes API there are no passwords and no cordon; all else goes on.
async function kubernetesIfAny(log: Log): Promise<KubernetesApi | undefined> {
  try {
    return await openKubernetes();
  } catch (cause) {
    log.error({ cause: messageOf(cause) }, 'no Kubernetes API');
    return undefined;
  }
}

main().then(
  () => process.exit(0),
  (cause) => {
    openLog('bgp').fatal({ cause: messageOf(cause) }, 'the speaker ends');
    process.exit(1);
  },
);
