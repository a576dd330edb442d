// The connectivity test itself. Its pods are told what to do when they are made and answer in their
// logs, so that it needs the API server alone, from a laptop as from a pod; it takes away what it made.
import { messageOf, OpError } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import type { KubernetesObjects } from '../../kubernetes/objects.io.ts';
import type { Output } from '../output.ts';
import {
  type Answer,
  type Call,
  denyPolicy,
  isReady,
  POLICY,
  type PullSecret,
  podOf,
  pullSecretOf,
  roleOf,
  SERVICE,
  serviceOf,
  stateOf,
  type TestOptions,
  type TestPod,
} from './objects.ts';
import { guardedCalls, type Outcome, openCalls, outcomeOf, report } from './plan.ts';

export interface Run extends TestOptions {
  /** The namespace is there already, and stays. */
  readonly keepNamespace: boolean;
  readonly timeoutSeconds: number;
  /** At most so many nodes take part. */
  readonly nodesMax: number;
  /** What is going on, for a person who waits. */
  say(words: string): void;
}

/** How long calls may take to become as wanted. */
const WITHIN_MILLISECONDS = 60_000;
const READY_SECONDS = 60;
const LOOK_MILLISECONDS = 500;
const never = new AbortController().signal;

/** All checks; nothing of the test is left, whatever comes. */
export async function runTest(api: KubernetesObjects, run: Run): Promise<Output> {
  const began = performance.now();
  const outcomes: Outcome[] = [await nodesReady(api, run)];
  try {
    if (run.keepNamespace) await removeFormer(api, run);
    else await api.create('/api/v1/namespaces', namespaceOf(run));
    await copySecrets(api, run);
    outcomes.push(...(await new Test(api, run).checks()));
  } catch (cause) {
    outcomes.push({ check: 'test', passed: false, words: messageOf(cause) });
  }
  await clean(api, run).catch((cause) => {
    run.say(`something is left in namespace ${run.namespace}: ${messageOf(cause)}`);
  });
  return report(outcomes, Math.round((performance.now() - began) / 1000));
}

const namespaceOf = ({ namespace }: Run): object => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
});

/** Asks again until the outcome is good, or the time is over. */
async function nodesReady(api: KubernetesObjects, run: Run): Promise<Outcome> {
  const end = performance.now() + Math.min(READY_SECONDS, run.timeoutSeconds) * 1000;
  for (;;) {
    const outcome = await nodesReadyNow(api).catch(
      (cause): Outcome => ({ check: READY, passed: false, words: messageOf(cause) }),
    );
    if (outcome.passed || performance.now() > end) return outcome;
    await pause(LOOK_MILLISECONDS, never);
  }
}

const READY = 'calico-node ready on every node';

/** calico-node is ready on a node when its BGP sessions are up and its policy is in sync. */
async function nodesReadyNow(api: KubernetesObjects): Promise<Outcome> {
  const check = READY;
  const path = '/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dcalico-node';
  const pods = (await api.get<{ items: readonly TestPod[] }>(path))?.items ?? [];
  const waiting = pods.filter((pod) => !isReady(pod)).map(({ spec }) => spec.nodeName ?? '?');
  if (pods.length === 0) return { check, passed: false, words: 'there is no such pod' };
  if (waiting.length > 0)
    return { check, passed: false, words: `not on ${waiting.join(', ')}; see kubectl describe` };
  return { check, passed: true, words: `${pods.length} nodes` };
}

/** One of that name which is there already will do. */
async function copySecrets(api: KubernetesObjects, run: Run): Promise<void> {
  for (const name of run.pullSecrets) {
    if (await api.get(secretPath(run.namespace, name))) continue;
    const secret = await api.get<PullSecret>(secretPath('kube-system', name));
    if (!secret) throw new OpError(`copy pull secret ${name}`, 'there is none in kube-system');
    await api.create(secretPath(run.namespace), pullSecretOf(run, name, secret));
  }
}

const secretPath = (namespace: string, name?: string): string =>
  `/api/v1/namespaces/${namespace}/secrets${name === undefined ? '' : `/${name}`}`;

async function clean(api: KubernetesObjects, run: Run): Promise<void> {
  const within = `namespaces/${run.namespace}`;
  if (!run.keepNamespace) return api.remove(`/api/v1/${within}`);
  await api.remove(`/apis/networking.k8s.io/v1/${within}/networkpolicies/${POLICY}`);
  await api.remove(`/api/v1/${within}/services/${SERVICE}`);
  for (const { metadata } of await listPods(api, run))
    await api.remove(`/api/v1/${within}/pods/${metadata.name}`);
  for (const name of run.pullSecrets) {
    const copy = await api.get<PullSecret>(secretPath(run.namespace, name));
    if (copy && roleOf(copy) !== undefined) await api.remove(secretPath(run.namespace, name));
  }
}

/** What a run left that was cut short: names are given once. */
async function removeFormer(api: KubernetesObjects, run: Run): Promise<void> {
  const end = performance.now() + run.timeoutSeconds * 1000;
  await clean(api, run);
  while ((await listPods(api, run)).length > 0 && performance.now() < end)
    await pause(LOOK_MILLISECONDS, never);
}

/** Only those of the test. */
const listPods = async (api: KubernetesObjects, run: Run): Promise<readonly TestPod[]> => {
  const path = `/api/v1/namespaces/${run.namespace}/pods`;
  const pods = (await api.get<{ items: readonly TestPod[] }>(path))?.items ?? [];
  return pods.filter((pod) => roleOf(pod) !== undefined);
};

class Test {
  private readonly api: KubernetesObjects;
  private readonly run: Run;
  private readonly core: string;

  constructor(api: KubernetesObjects, run: Run) {
    this.api = api;
    this.run = run;
    this.core = `/api/v1/namespaces/${run.namespace}`;
  }

  async checks(): Promise<readonly Outcome[]> {
    const nodes = await this.nodes();
    await this.api.create(`${this.core}/services`, serviceOf(this.run));
    for (const [i, node] of nodes.entries())
      await this.makePod({ name: `server-${i}`, node, role: 'server' });
    await this.makePod({ name: 'guarded', node: nodes[0]!, role: 'guarded' });
    this.run.say(`${nodes.length + 1} pods start in namespace ${this.run.namespace}`);
    const pods = await this.until('server', isReady);
    const service = await this.serviceAddresses();
    this.run.say('they are called');
    const open = await this.callers('open', nodes, true, (n) => openCalls(n, pods, service));
    const isService = ({ call: { to } }: Answer): boolean => service.includes(to);
    const named = (check: string, which: (answer: Answer) => boolean): Outcome =>
      outcomeOf(check, open.filter(which), true);
    return [
      named('pod to pod', (a) => !isService(a) && a.call.path === '/hello'),
      named('pod to pod, big packets', ({ call: { path } }) => path === '/bulk'),
      named('pod to service', isService),
      ...(await this.policy(nodes, pods)),
    ];
  }

  private async policy(
    nodes: readonly string[],
    pods: readonly TestPod[],
  ): Promise<readonly Outcome[]> {
    const path = `/apis/networking.k8s.io/v1/namespaces/${this.run.namespace}/networkpolicies`;
    const calls = (node: string): readonly Call[] => guardedCalls(node, pods);
    this.run.say('a NetworkPolicy comes and goes');
    await this.api.create(path, denyPolicy(this.run));
    const denied = await this.callers('denied', nodes, false, calls);
    await this.api.remove(`${path}/${POLICY}`);
    const allowed = await this.callers('allowed', nodes, true, calls);
    return [outcomeOf('policy denies', denied, false), outcomeOf('policy gone', allowed, true)];
  }

  /** Nodes that run pods, the first so many by name. */
  private async nodes(): Promise<readonly string[]> {
    interface Node extends Pick<TestPod, 'status'> {
      readonly metadata: { readonly name: string; readonly labels?: Record<string, string> };
    }
    const all = (await this.api.get<{ items: readonly Node[] }>('/api/v1/nodes'))?.items ?? [];
    const usable = all.filter(
      (node) => isReady(node) && node.metadata.labels?.['kubernetes.io/os'] !== 'windows',
    );
    if (usable.length === 0) throw new OpError('find nodes', 'none is Ready');
    const names = usable.map(({ metadata }) => metadata.name).sort();
    return names.slice(0, this.run.nodesMax);
  }

  private makePod(options: Parameters<typeof podOf>[1]): Promise<void> {
    return this.api.create(`${this.core}/pods`, podOf(this.run, options));
  }

  private async serviceAddresses(): Promise<readonly string[]> {
    const path = `${this.core}/services/${SERVICE}`;
    const service = await this.api.get<{ spec: { clusterIPs?: readonly string[] } }>(path);
    return service?.spec.clusterIPs ?? [];
  }

  /** A pod on every node calls; the answers of all. */
  private async callers(
    phase: string,
    nodes: readonly string[],
    wanted: boolean,
    callsOf: (node: string) => readonly Call[],
  ): Promise<readonly Answer[]> {
    const names = nodes.map((_, i) => `${phase}-${i}`);
    for (const [i, node] of nodes.entries()) {
      const order = { calls: callsOf(node), wanted, withinMilliseconds: WITHIN_MILLISECONDS };
      await this.makePod({ name: names[i]!, node, role: 'caller', order });
    }
    const isDone = ({ status, metadata }: TestPod): boolean =>
      !names.includes(metadata.name) || status?.phase === 'Succeeded' || status?.phase === 'Failed';
    await this.until('caller', isDone);
    const answers = await Promise.all(names.map((name) => this.answersOf(name)));
    return answers.flat();
  }

  private async answersOf(pod: string): Promise<readonly Answer[]> {
    const log = await this.api.text(`${this.core}/pods/${pod}/log`);
    const line = log.split('\n').find((text) => text.startsWith('['));
    if (!line) throw new OpError(`read the log of ${pod}`, log.slice(-200) || 'it is empty');
    return JSON.parse(line) as readonly Answer[];
  }

  /** An API server that does not answer for a moment is asked again. */
  private async look(end: number): Promise<readonly TestPod[]> {
    for (;;) {
      try {
        return await listPods(this.api, this.run);
      } catch (cause) {
        if (performance.now() > end) throw cause;
        await pause(LOOK_MILLISECONDS, never);
      }
    }
  }

  /** The pods that answer, once every pod of the role is as it should be; guarded ones are servers. */
  private async until(
    role: 'server' | 'caller',
    is: (pod: TestPod) => boolean,
  ): Promise<readonly TestPod[]> {
    const end = performance.now() + this.run.timeoutSeconds * 1000;
    const isCaller = (pod: TestPod): boolean => roleOf(pod) === 'caller';
    for (;;) {
      const all = await this.look(end);
      const pods = all.filter((pod) => isCaller(pod) === (role === 'caller'));
      const waiting = pods.filter((pod) => !is(pod));
      if (waiting.length === 0 && pods.length > 0) return pods;
      if (performance.now() > end)
        throw new OpError('wait for pods', waiting.map(stateOf).join('; '));
      await pause(LOOK_MILLISECONDS, never);
    }
  }
}
