// The agent's settings from its environment, parsed once. Bad text ends the start with one
// sentence that names the variable, its value and the fix.
import { fail, ok, type Result } from '../base/result.ts';
import { type EtcdSettings, etcdSettings } from '../datastore/settings.ts';
import { felixEnvironment } from '../policy/read/environment.ts';
import type { FelixSettings } from '../policy/read/resources.ts';
import { durationOf, type MtuSettings, mtuSettings } from './mtu/settings.ts';
import { type ServiceProxySettings, serviceProxySettings } from './services/settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;
export type HostAction = 'DROP' | 'RETURN' | 'ACCEPT';

export interface AgentSettings {
  readonly etcd: EtcdSettings;
  readonly logLevel: string;
  /** What a pod's packet to its own host meets after its policy. */
  readonly endpointToHostAction: HostAction;
  /** What the environment says over any FelixConfiguration. */
  readonly felix?: FelixSettings;
  readonly healthEnabled: boolean;
  readonly healthHost: string;
  readonly healthPort: number;
  readonly metricsEnabled: boolean;
  readonly metricsPort: number;
  /** Each packet that policy drops becomes a line of the log. */
  readonly logDeniedFlows: boolean;
  /** Live connections that policy denies from now on are cut. */
  readonly cutDeniedFlows: boolean;
  /** What policy has not accepted is dropped even where its rules are gone. */
  readonly guarded: boolean;
  readonly socketPath: string;
  /** Where releases wait that the datastore could not take. */
  readonly journalFolder: string;
  readonly mtu: MtuSettings;
  /** Whether a speaker runs beside the agent (CALICO_NETWORKING_BACKEND: bird). */
  readonly hasSpeaker: boolean;
  /** Between two looks at the node's own address. */
  readonly addressPollMilliseconds: number;
  /** Whether a Kubernetes API is configured (service account or kubeconfig). */
  readonly kubernetes: boolean;
  /** Absent: services are somebody else's. */
  readonly serviceProxy?: ServiceProxySettings;
  /** Name of the place where a test ends the process; empty in production. */
  readonly failpoint: string;
}

const HOST_ACTIONS: readonly HostAction[] = ['DROP', 'RETURN', 'ACCEPT'];

/** Who writes routes beside the agent: a speaker, or nobody. */
const BACKENDS: readonly string[] = ['bird', 'vxlan', 'none'];

/** Errors: the first variable that cannot be used. */
export function parseEnvironment(env: Environment): Result<AgentSettings> {
  const wrong: string[] = [];
  const port = (name: string, otherwise: number): number => {
    const n = Number(env[name] || otherwise);
    if (!Number.isInteger(n) || n < 1 || n > 65535)
      wrong.push(`${name}: '${env[name]}' is no port (1 to 65535)`);
    return n;
  };
  const truth = (name: string, otherwise: boolean): boolean => {
    const text = (env[name] || String(otherwise)).toLowerCase();
    if (text !== 'true' && text !== 'false')
      wrong.push(`${name}: '${env[name]}' must be true or false`);
    return text === 'true';
  };
  const action = (env['FELIX_DEFAULTENDPOINTTOHOSTACTION'] || 'RETURN').toUpperCase();
  const hostAction = HOST_ACTIONS.find((known) => known === action);
  if (!hostAction)
    wrong.push(
      `FELIX_DEFAULTENDPOINTTOHOSTACTION: '${action}' must be one of ${HOST_ACTIONS.join(', ')}`,
    );
  const felix = felixEnvironment(env);
  if (!felix.ok) wrong.push(felix.error);
  const etcd = etcdSettings(env);
  if (!etcd.ok) wrong.push(etcd.error);
  const serviceProxy = serviceProxySettings(env);
  if (!serviceProxy.ok) wrong.push(serviceProxy.error);
  const mtu = mtuSettings(env);
  if (!mtu.ok) wrong.push(mtu.error);
  const poll = durationOf(env['AUTODETECT_POLL_INTERVAL'] || '60s');
  if (!poll)
    wrong.push(
      `AUTODETECT_POLL_INTERVAL: '${env['AUTODETECT_POLL_INTERVAL']}' must look like 60s or 5m`,
    );
  const backend = env['CALICO_NETWORKING_BACKEND'] || 'bird';
  if (!BACKENDS.includes(backend))
    wrong.push(`CALICO_NETWORKING_BACKEND: '${backend}' must be one of ${BACKENDS.join(', ')}`);
  const settings: AgentSettings = {
    etcd: etcd.ok ? etcd.value : { endpoints: [] },
    logLevel: env['LOG_LEVEL'] || env['FELIX_LOGSEVERITYSCREEN'] || 'info',
    endpointToHostAction: hostAction ?? 'DROP',
    ...(felix.ok ? { felix: felix.value } : {}),
    healthEnabled: truth('FELIX_HEALTHENABLED', true),
    healthHost: env['FELIX_HEALTHHOST'] || '127.0.0.1',
    healthPort: port('FELIX_HEALTHPORT', 9099),
    metricsEnabled: truth('FELIX_PROMETHEUSMETRICSENABLED', false),
    metricsPort: port('FELIX_PROMETHEUSMETRICSPORT', 9091),
    logDeniedFlows: truth('FELIX_LOGDENIEDFLOWS', false),
    cutDeniedFlows: truth('FELIX_CUTDENIEDFLOWS', true),
    guarded: truth('FELIX_DEFAULTDENYGUARD', true),
    socketPath: env['CALICO_CNI_SOCKET'] || '/var/run/calico/cni.sock',
    journalFolder: env['CALICO_JOURNAL_FOLDER'] || '/var/lib/calico/releases',
    mtu: mtu.ok ? mtu.value : { asked: undefined, tunnels: {}, pattern: undefined },
    hasSpeaker: backend === 'bird',
    addressPollMilliseconds: poll ?? 0,
    kubernetes: Boolean(env['KUBERNETES_SERVICE_HOST'] || env['KUBECONFIG']),
    ...(serviceProxy.ok && serviceProxy.value ? { serviceProxy: serviceProxy.value } : {}),
    failpoint: env['CALICO_FAILPOINT'] ?? '',
  };
  return wrong[0] === undefined ? ok(settings) : fail(wrong[0]);
}
