// The agent's life: answer CNI from the first moment (with code 11 and the reason until ready),
// write the node's own records, follow the datastore, sweep what a crash left, then serve.
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { serveHealth } from '../base/health.io.ts';
import type { Log } from '../base/log.io.ts';
import type { Registry } from '../base/metrics.io.ts';
import { messageOf } from '../base/op-error.ts';
import { freshTurn, nextTurn } from '../base/pause.io.ts';
import type { Result } from '../base/result.ts';
import { type CniError, cniError } from '../cni/errors.ts';
import type { CniRequest } from '../cni/request.ts';
import type { Store } from '../datastore/store.ts';
import { openAllocator } from '../ipam/allocator.io.ts';
import { deleteFlows } from '../kernel/conntrack/conntrack.io.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Guard } from '../kernel/nftables/guard.io.ts';
import type { IpSets, Tables } from '../kernel/tables.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import type { Family } from '../net/ip.ts';
import { carryOut, notYet } from './cni/commands.io.ts';
import type { CniContext } from './cni/context.ts';
import { forgetFormerFlows, openFlowRemoval } from './cni/del/flow-removal.io.ts';
import { ReleaseJournal } from './cni/del/journal.io.ts';
import { LinkRemoval } from './cni/del/link-removal.io.ts';
import { CallGate } from './cni/gate.ts';
import { type CniHandler, serveCni } from './cni/server.io.ts';
import { Turns } from './cni/turns.ts';
import type { AgentSettings, Environment } from './environment.ts';
import { failpointOf } from './failpoint.io.ts';
import { watchInvariants } from './invariants.io.ts';
import { followDatastore, openTunnel } from './life/follow.io.ts';
import { mtuNow, openHost, podMtuOf } from './life/host.io.ts';
import { settleMemory } from './life/memory.io.ts';
import { PodRoutes } from './life/pod-routes.io.ts';
import type { Progress } from './life/progress.ts';
import { keepWorkersBehind } from './life/workers.io.ts';
import { measureAgent } from './metrics.io.ts';
import { followLocalPods } from './pods.io.ts';
import { PolicyMetrics } from './policy-engine/metrics.io.ts';
import { openNodePolicy } from './policy-engine/open.io.ts';
import { PolicyViews } from './policy-engine/views.io.ts';
import { type Readiness, readinessOf } from './readiness.ts';
import { Recovery, recover } from './recovery.io.ts';
import type { NodeServices } from './services/open.io.ts';
import { startUp } from './start-up.io.ts';
import type { NodeTunnels } from './tunnels/open.io.ts';
import { DatastoreView } from './view.ts';

export interface AgentParts {
  readonly settings: AgentSettings;
  readonly env: Environment;
  readonly store: Store;
  readonly kernel: Kernel;
  readonly tables: Tables;
  /** Absent on a machine without IPv6. */
  readonly ipv6Tables: Tables | undefined;
  readonly ipSets: IpSets;
  readonly guards?: Readonly<Record<Family, Guard>>;
  readonly kubernetes: KubernetesApi | undefined;
  /** Absent: somebody else serves services. */
  readonly services?: NodeServices | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly signal: AbortSignal;
}

/** Runs until the signal fires. Throws what makes a start impossible. */
export async function runAgent(parts: AgentParts): Promise<void> {
  const { settings, log, signal } = parts;
  const progress: Progress = {
    stage: 'starting',
    context: undefined,
    policy: undefined,
    problem: undefined,
    host: undefined,
    lost: undefined,
    gate: new CallGate(),
    recovery: new Recovery(),
    views: new PolicyViews(),
  };
  let calls = 0;
  const handleCall: CniHandler = (request) => {
    calls++;
    return handle(progress, request);
  };
  const server = serveCni(settings.socketPath, handleCall, log);
  const health = settings.healthEnabled
    ? serveHealth({
        host: settings.healthHost,
        port: settings.healthPort,
        state: () => readinessOf(readinessFacts(progress, parts.services?.problem)),
        pages: progress.views.pages,
      })
    : undefined;
  try {
    const starting = start(parts, progress).then(() => {
      log.info({ node: progress.context?.node }, 'the agent is ready');
      keepWorkersBehind();
      void settleMemory(() => calls, signal);
      return stopped(signal);
    });
    await Promise.race([starting, stopped(signal)]);
  } finally {
    // Kernel state stays: pods keep their routes and rules while no agent runs.
    server.close();
    health?.close();
    await parts.services?.close();
    await progress.policy?.close();
    progress.context?.allocator.close();
    progress.context?.removal.close();
    progress.context?.flows.close();
    parts.store.close();
    log.info('the agent has stopped');
  }
}

async function start(parts: AgentParts, progress: Progress): Promise<void> {
  const { settings, store, kernel, kubernetes, clock, log, signal } = parts;
  progress.stage = 'waiting for the datastore';
  const started = await startUp({ store, kernel, kubernetes, env: parts.env, clock, log, signal });
  const { kubernetesNode } = started;
  const view = new DatastoreView(started.node, settings.felix?.spoofing);
  const host = openHost(parts, started, view, () => tunnels.devices.wake());
  progress.host = host;
  const metrics = new PolicyMetrics(parts.registry);
  const policy = openNodePolicy(parts, { node: started.node, nodeAddress: host.ip }, metrics);
  progress.policy = policy;
  progress.stage = 'waiting for the first snapshot of the datastore';
  const failpoint = failpointOf(settings.failpoint);
  const allocator = openAllocator({ store, node: started.node, clock, log, failpoint });
  const context: CniContext = {
    node: started.node,
    effectiveMtu: () => podMtuOf(host, settings.mtu),
    mtuNow: (configured) => mtuNow(configured, settings.mtu, view.pools),
    store,
    kernel,
    view,
    allocator,
    policy,
    tables: parts.tables,
    ipv6Tables: parts.ipv6Tables,
    pods: kubernetes && followLocalPods(kubernetes, kubernetesNode, signal),
    clock,
    log,
    failpoint,
    flows: openFlowRemoval(deleteFlows, log),
    turns: new Turns(),
    removal: new LinkRemoval(kernel, log),
    journal: new ReleaseJournal(settings.journalFolder),
    recoverSoon: progress.recovery.soon,
    callCount: () => progress.gate.count,
  };
  const tunnels: NodeTunnels = openTunnel(parts, started, { view, allocator, progress });
  await freshTurn();
  followDatastore(parts, started.node, view, policy, progress, tunnels);
  await allocator.ready();
  tunnels.devices.wake();
  host.follow(() => policy.facts.world.nodes);
  progress.stage = 'writing the first rules';
  await policy.inSync();
  progress.stage = 'waiting for the list of pods of this node';
  await Promise.race([context.pods?.synced(), sleep(PODS_PATIENCE_MILLISECONDS)]);
  progress.stage = 'sweeping what an earlier run left';
  await sweep(context, log);
  new PodRoutes(context, signal);
  await nextTurn();
  measureAgent(parts.registry, { view, allocator, policy });
  const connected = () => progress.lost === undefined;
  const now = () => clock.date();
  progress.views.open({ ...parts, engine: policy, metrics, connected, now });
  watchInvariants({ view, allocator, log }, parts.registry, signal);
  progress.context = context;
  progress.stage = 'ready';
  void progress.recovery.run(context, progress.gate, signal);
  if (kubernetes) void announce(kubernetes, kubernetesNode, log, signal);
}

async function sweep(context: CniContext, log: Log): Promise<void> {
  await context.removal.tryAll();
  log.info(await recover(context), 'swept');
  await nextTurn();
  forgetFormerFlows(context);
}

/** The API server may come up after us; without its list the sweep judges by interfaces alone. */
const PODS_PATIENCE_MILLISECONDS = 15_000;
const ANNOUNCE_MILLISECONDS = 10_000;

const sleep = (milliseconds: number): Promise<void> =>
  setTimeout(milliseconds, undefined, { ref: false });

/** Tells Kubernetes that the node's network is up; repeats until it is heard. */
async function announce(
  kubernetes: KubernetesApi,
  node: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const condition = {
    unavailable: false,
    reason: 'CalicoIsUp',
    message: 'Calico is running on this node',
  };
  while (!signal.aborted) {
    try {
      await kubernetes.setNetworkUnavailable(node, condition);
      return;
    } catch (cause) {
      log.warn({ cause: messageOf(cause) }, 'NetworkUnavailable not set; it will be repeated');
      await sleep(ANNOUNCE_MILLISECONDS);
    }
  }
}

async function handle(progress: Progress, request: CniRequest): Promise<Result<string, CniError>> {
  const { context } = progress;
  if (!context) {
    const msg = `calico-node on this node is not ready: ${progress.stage}`;
    return notYet(request, cniError('tryAgain', msg));
  }
  if (!context.view.datastoreReady) {
    const msg =
      'the datastore is locked (ClusterInformation datastoreReady is false); unlock it to go on';
    return notYet(request, cniError('notReady', msg));
  }
  const { waiting } = progress.recovery.restoration;
  if (waiting.length > 0 && (request.command === 'ADD' || request.command === 'STATUS')) {
    const msg = `the datastore was restored from a backup; not in it yet: ${waiting.join(', ')}`;
    return notYet(request, cniError('tryAgain', msg));
  }
  const unknown = request.config.unknownKeys;
  if (unknown.length > 0)
    context.log.warn({ keys: unknown }, 'unknown keys in the network configuration');
  return progress.gate.call(() => carryOut(context, request));
}

const readinessFacts = (
  { stage, context, policy, problem, host, lost }: Progress,
  servicesProblem: string | undefined,
): Readiness => ({
  datastoreLost: context && lost,
  stage,
  started: context !== undefined,
  policyProblem:
    policy && !policy.state().ready
      ? (policy.state().problem ?? 'rules are not written yet')
      : undefined,
  settingsProblem: problem,
  addressProblem: host?.address.problem ?? host?.ipv6Address.problem,
  warnings: [
    host?.address.warning,
    host?.ipv6Address.warning,
    host?.mtu.state?.problem,
    host?.probe?.problem,
    policy?.state().warning,
  ],
  servicesProblem,
  datastoreLocked: context ? !context.view.datastoreReady : false,
});

const stopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
