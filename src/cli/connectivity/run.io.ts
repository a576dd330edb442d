// The connectivity test itself: makes its objects, asks its pods through the API server, so that it
// runs from a laptop as well as in the cluster, and takes everything away again.
import { messageOf, OpError } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import type { KubernetesObjects } from '../../kubernetes/objects.io.ts';
import type { Output } from '../output.ts';
import {
  denyPolicy,
  isReady,
  PORT,
  type TestOptions,
  type TestPod,
  testObjects,
} from './objects.ts';
import {
  guardedProbes,
  type Outcome,
  openProbes,
  outcomeOf,
  type Probe,
  type ProbeAnswer,
  report,
} from './plan.ts';

export interface Run extends TestOptions {
  readonly timeoutSeconds: number;
  /** What is going on, for a person who waits. */
  say(words: string): void;
}

const POLICY_MILLISECONDS = 10_000;
const CALLS_AT_ONCE = 16;

/** All checks; the namespace of the test is deleted whatever comes. */
export async function runTest(api: KubernetesObjects, run: Run): Promise<Output> {
  const began = performance.now();
  const outcomes: Outcome[] = [await nodesReady(api)];
  try {
    for (const { path, object } of testObjects(run)) await api.create(path, object);
    run.say(`pods of namespace ${run.namespace} start`);
    const pods = await readyPods(api, run);
    const service = await serviceAddresses(api, run);
    run.say(`${pods.length} pods call each other`);
    const open = openProbes(pods, service);
    const named = (check: string, which: (probe: Probe) => boolean) =>
      callAll(api, run, open.filter(which)).then((all) => outcomeOf(check, all, true));
    const isService = ({ to }: Probe): boolean => service.includes(to);
    outcomes.push(await named('pod to pod', (p) => !isService(p) && p.path === '/hello'));
    outcomes.push(await named('pod to pod, big packets', (p) => p.path === '/bulk'));
    outcomes.push(await named('pod to service', isService));
    outcomes.push(...(await policyChecks(api, run, guardedProbes(pods))));
  } catch (cause) {
    outcomes.push({ check: 'test', passed: false, words: messageOf(cause) });
  } finally {
    await api.remove(`/api/v1/namespaces/${run.namespace}`).catch((cause) => {
      run.say(`namespace ${run.namespace} is left behind: ${messageOf(cause)}`);
    });
  }
  return report(outcomes, Math.round((performance.now() - began) / 1000));
}

/** calico-node is ready on a node when its BGP sessions are up and its policy is in sync. */
async function nodesReady(api: KubernetesObjects): Promise<Outcome> {
  const check = 'calico-node ready on every node';
  const path = '/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dcalico-node';
  const list = await api.get<{ items: readonly TestPod[] }>(path);
  const pods = list?.items ?? [];
  const waiting = pods.filter((pod) => !isReady(pod)).map(({ spec }) => spec.nodeName ?? '?');
  if (pods.length === 0) return { check, passed: false, words: 'there is no such pod' };
  if (waiting.length > 0)
    return { check, passed: false, words: `not on ${waiting.join(', ')}; see kubectl describe` };
  return { check, passed: true, words: `${pods.length} nodes` };
}

async function readyPods(api: KubernetesObjects, run: Run): Promise<readonly TestPod[]> {
  const apps = `/apis/apps/v1/namespaces/${run.namespace}`;
  interface Status {
    readonly status?: {
      readonly desiredNumberScheduled?: number;
      readonly numberReady?: number;
      readonly readyReplicas?: number;
    };
  }
  const isUp = async (): Promise<boolean> => {
    const [all, one] = await Promise.all([
      api.get<Status>(`${apps}/daemonsets/probe`),
      api.get<Status>(`${apps}/deployments/guarded`),
    ]);
    const { desiredNumberScheduled: wanted = 0, numberReady = 0 } = all?.status ?? {};
    return wanted > 0 && numberReady === wanted && one?.status?.readyReplicas === 1;
  };
  await within(run.timeoutSeconds * 1000, isUp, async () => {
    const pods = await listPods(api, run);
    const waiting = pods.filter((pod) => !isReady(pod));
    return waiting.map(({ metadata, spec }) => `${metadata.name} on ${spec.nodeName}`).join(', ');
  });
  return listPods(api, run);
}

const listPods = async (api: KubernetesObjects, run: Run): Promise<readonly TestPod[]> =>
  (await api.get<{ items: readonly TestPod[] }>(`/api/v1/namespaces/${run.namespace}/pods`))
    ?.items ?? [];

async function serviceAddresses(api: KubernetesObjects, run: Run): Promise<readonly string[]> {
  const path = `/api/v1/namespaces/${run.namespace}/services/probe`;
  const service = await api.get<{ spec: { clusterIPs?: readonly string[] } }>(path);
  return service?.spec.clusterIPs ?? [];
}

async function policyChecks(
  api: KubernetesObjects,
  run: Run,
  probes: readonly Probe[],
): Promise<readonly Outcome[]> {
  const { path, object } = denyPolicy(run);
  const settled = async (check: string, wanted: boolean): Promise<Outcome> => {
    const end = performance.now() + POLICY_MILLISECONDS;
    for (;;) {
      const outcome = outcomeOf(check, await callAll(api, run, probes), wanted);
      if (outcome.passed || performance.now() > end) return outcome;
    }
  };
  run.say('a NetworkPolicy comes and goes');
  await api.create(path, object);
  const denied = await settled('policy denies', false);
  await api.remove(`${path}/guarded`);
  return [denied, await settled('policy gone', true)];
}

async function callAll(
  api: KubernetesObjects,
  { namespace }: Run,
  probes: readonly Probe[],
): Promise<readonly { readonly probe: Probe; readonly answer: ProbeAnswer }[]> {
  const waiting = [...probes];
  const answers: { probe: Probe; answer: ProbeAnswer }[] = [];
  const work = async (): Promise<void> => {
    for (let probe = waiting.shift(); probe; probe = waiting.shift()) {
      const { from, to, path } = probe;
      const query = `to=${encodeURIComponent(to)}&path=${encodeURIComponent(path)}`;
      const pod = `/api/v1/namespaces/${namespace}/pods/${from}:${PORT}/proxy`;
      const answer = await api
        .get<ProbeAnswer>(`${pod}/probe?${query}`)
        .catch((cause): ProbeAnswer => ({ ok: false, words: messageOf(cause), ms: 0 }));
      answers.push({ probe, answer: answer ?? { ok: false, words: 'the pod is gone', ms: 0 } });
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work));
  return answers;
}

async function within(
  milliseconds: number,
  holds: () => Promise<boolean>,
  waitsFor: () => Promise<string>,
): Promise<void> {
  const end = performance.now() + milliseconds;
  const never = new AbortController().signal;
  while (!(await holds())) {
    if (performance.now() > end) throw new OpError('wait for pods', await waitsFor());
    await pause(500, never);
  }
}
