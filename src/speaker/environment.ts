// The speaker's settings from its environment, parsed once. Bad text ends the start with one
// sentence that names the variable, its value and the fix.
import { digest } from '../base/hash.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { type EtcdSettings, etcdSettings } from '../datastore/settings.ts';
import { type Ip, ipFromBytes, parseIp } from '../net/ip.ts';

export interface SpeakerSettings {
  readonly etcd: EtcdSettings;
  readonly node: string;
  readonly logLevel: string;
  readonly healthHost: string;
  readonly healthPort: number;
  /** 0: no metrics are served. */
  readonly metricsPort: number;
  readonly holdTimeSeconds: number;
  /** Undefined: the node's IPv4 address. */
  readonly routerId: Ip | undefined;
  /** Whether a Kubernetes API is configured (service account or kubeconfig). */
  readonly kubernetes: boolean;
  /** The node's name in Kubernetes. */
  readonly kubernetesNode: string;
  /** The namespace that Secrets are read from. */
  readonly namespace: string;
  /** FELIX_PROGRAMCLUSTERROUTES: pools whose routes are the agent's. */
  readonly agentRoutes: string | undefined;
  /** How long the peers have to turn elsewhere before the sessions end. */
  readonly drainSeconds: number;
}

/**
 * BIRD's 240 s would leave the routes of a node that lost its power in place for four minutes. RFC
 * 4271 section 10 suggests 90 s, and the lower value of both sides counts, BIRD's included.
 */
export const DEFAULT_HOLD_TIME_SECONDS = 90;
const DEFAULT_HEALTH_PORT = 9098;
/** The chart gives the pod four seconds more to end. */
const DEFAULT_DRAIN_SECONDS = 1;
const DEFAULT_METRICS_PORT = 9092;

/** Errors: the first variable that cannot be used. */
export function parseEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Result<SpeakerSettings> {
  const wrong: string[] = [];
  const number = (name: string, otherwise: number, min: number, max: number): number => {
    const n = Number(env[name] || otherwise);
    if (!Number.isInteger(n) || n < min || n > max)
      wrong.push(`${name}: '${env[name]}' must be a whole number from ${min} to ${max}`);
    return n;
  };
  const etcd = etcdSettings(env);
  if (!etcd.ok) wrong.push(etcd.error);
  const node = env['NODENAME'] ?? '';
  if (!node) wrong.push("NODENAME: empty; give the node's name in the datastore");
  const routerIdText = env['CALICO_ROUTER_ID'] ?? '';
  const routerId = routerIdText === 'hash' ? hashedRouterId(node) : parseIp(routerIdText);
  if (routerIdText && (!routerId || routerId.includes(':') || routerId === '0.0.0.0'))
    wrong.push(`CALICO_ROUTER_ID: '${routerIdText}' must be 'hash' or an IPv4 address`);
  // The switch is the agent's: one setting of the chart for both containers of the pod.
  const measured = (env['FELIX_PROMETHEUSMETRICSENABLED'] ?? '').toLowerCase() === 'true';
  const settings: SpeakerSettings = {
    etcd: etcd.ok ? etcd.value : { endpoints: [] },
    node,
    logLevel: env['LOG_LEVEL'] || 'info',
    healthHost: env['BGP_HEALTH_HOST'] || '127.0.0.1',
    healthPort: number('BGP_HEALTH_PORT', DEFAULT_HEALTH_PORT, 1, 65535),
    metricsPort: measured ? number('BGP_METRICS_PORT', DEFAULT_METRICS_PORT, 1, 65535) : 0,
    holdTimeSeconds: number('BGP_HOLD_TIME_SECONDS', DEFAULT_HOLD_TIME_SECONDS, 3, 65535),
    routerId,
    kubernetes: Boolean(env['KUBERNETES_SERVICE_HOST'] || env['KUBECONFIG']),
    kubernetesNode: env['CALICO_K8S_NODE_REF'] || node,
    namespace: env['POD_NAMESPACE'] || 'kube-system',
    agentRoutes: env['FELIX_PROGRAMCLUSTERROUTES'] || undefined,
    drainSeconds: number('BGP_DRAIN_SECONDS', DEFAULT_DRAIN_SECONDS, 0, 600),
  };
  return wrong[0] === undefined ? ok(settings) : fail(wrong[0]);
}

/** An identifier for nodes without IPv4. */
const hashedRouterId = (node: string): Ip => ipFromBytes(digest('sha256', node).slice(0, 4));
