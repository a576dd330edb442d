// calico-kube-controllers: Kubernetes objects and the chart's settings become Calico resources in the
// datastore. One replica; every write is a compare-and-swap, so a second one would do no harm.
import { readFileSync } from 'node:fs';
import { systemClock } from '../base/clock.io.ts';
import { serveHealth } from '../base/health.io.ts';
import { type Log, openLog } from '../base/log.io.ts';
import { openRegistry, serveMetrics } from '../base/metrics.io.ts';
import { messageOf } from '../base/op-error.ts';
import { ok } from '../base/result.ts';
import { openStore } from '../datastore/settings.io.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import { openKubernetes } from '../kubernetes/client.io.ts';
import { parseCidr } from '../net/cidr.ts';
import { type Controller, problemsOf, together } from './controller.ts';
import { DatastoreMirror } from './datastore-mirror.io.ts';
import {
  type ControllerName,
  type ControllersSettings,
  controllersSettings,
} from './environment.ts';
import { ipamCollector } from './ipam-gc/collector.io.ts';
import { environmentGrace } from './ipam-gc/settings.ts';
import { nodeController } from './nodes.io.ts';
import {
  namespaceController,
  policyController,
  serviceAccountController,
} from './profiles-and-policies.io.ts';
import type { ControllerParts } from './reconcile.io.ts';
import { reflectorController } from './route-reflectors/controller.io.ts';
import { serviceEndpointsController } from './service-endpoints.io.ts';
import { documentController } from './settings/documents.io.ts';
import {
  type DocumentWanted,
  documentWanted,
  NO_DOCUMENT,
  parseDocument,
} from './settings/documents.ts';
import { settingsController } from './settings/settings.io.ts';
import { type ClusterSettings, clusterSettings } from './settings/settings.ts';
import { workloadEndpointController } from './workload-endpoints.io.ts';

async function main(log: Log): Promise<void> {
  const settings = controllersSettings(process.env);
  if (!settings.ok) throw new Error(settings.error);
  const cluster = clusterSettings(process.env);
  if (!cluster.ok) throw new Error(cluster.error);
  const document = readDocument(process.env['CALICO_SETTINGS_FILE'], cluster.value);
  const grace = environmentGrace(process.env['LEAK_GRACE_PERIOD']);
  if (!grace.ok) throw new Error(grace.error);
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  process.once('SIGINT', () => stop.abort());
  const mirror = new DatastoreMirror();
  const running = new Map<ControllerName, Controller>();
  const health = serveHealth({
    host: settings.value.healthHost,
    port: settings.value.healthPort,
    state: () => stateOf(mirror, running),
  });
  const registry = openRegistry();
  const { metricsPort, reflectorsPerZone } = settings.value;
  const metrics = metricsPort > 0 ? serveMetrics(registry, metricsPort) : undefined;
  const store = openStore(settings.value.etcd, log);
  const parts = {
    store,
    mirror,
    clock: systemClock,
    log,
    signal: stop.signal,
    kubernetes: await openKubernetes(),
  };
  const controllers: Readonly<Record<ControllerName, () => Controller>> = {
    namespace: () => namespaceController(parts),
    serviceaccount: () => serviceAccountController(parts),
    policy: () => together(policyController(parts), serviceEndpointsController(parts)),
    workloadendpoint: () => workloadEndpointController(parts),
    node: () =>
      together(
        nodeController(parts),
        ipamCollector({ ...parts, registry, graceMilliseconds: grace.value }),
      ),
    settings: () =>
      together(
        settingsController(parts, { ...cluster.value, ...document, reflectorsPerZone }),
        documentController(parts, document),
      ),
    routereflector: () => reflectors(parts, settings.value),
  };
  for (const name of settings.value.enabled) running.set(name, controllers[name]());
  mirror.follow(store, log, stop.signal);
  log.info({ controllers: [...settings.value.enabled] }, 'started');
  await new Promise<void>((resolve) =>
    stop.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  health.close();
  metrics?.close();
  store.close();
  log.info('stopped');
}

/** Labels that cannot be read stop nothing but this. */
const reflectors = (
  parts: ControllerParts & { readonly kubernetes: KubernetesApi },
  { reflectorsPerZone: perZone, reflectorNodes: wanted }: ControllersSettings,
): Controller =>
  wanted.ok
    ? reflectorController({ ...parts, perZone, wanted: wanted.value })
    : { problem: wanted.error, failing: [] };

function readDocument(
  file: string | undefined,
  { asNumber, pool }: ClusterSettings,
): DocumentWanted {
  const document = file ? parseDocument(readFileSync(file, 'utf8')) : ok(NO_DOCUMENT);
  if (!document.ok) throw new Error(`${file}: ${document.error}`);
  return documentWanted(document.value, { asNumber, podSubnet: parseCidr(pool.cidr) });
}

function stateOf(mirror: DatastoreMirror, running: ReadonlyMap<ControllerName, Controller>) {
  const problems = problemsOf(mirror.problem, running);
  return { live: true, ready: problems.length === 0, problems };
}

const log = openLog('kube-controllers', process.env['LOG_LEVEL'] ?? 'info');
main(log).then(
  () => process.exit(0),
  (cause) => {
    log.fatal({ cause: messageOf(cause) }, 'kube-controllers ends');
    process.exit(1);
  },
);
