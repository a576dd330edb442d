// Settings of kube-controllers from its environment.
import { fail, ok, type Result } from '../base/result.ts';
import { type EtcdSettings, etcdSettings } from '../datastore/settings.ts';

export const CONTROLLERS = [
  'policy',
  'namespace',
  'serviceaccount',
  'workloadendpoint',
  'node',
  'settings',
  'routereflector',
] as const;
export type ControllerName = (typeof CONTROLLERS)[number];

export interface ControllersSettings {
  readonly etcd: EtcdSettings;
  readonly enabled: ReadonlySet<ControllerName>;
  readonly logLevel: string;
  readonly healthHost: string;
  readonly healthPort: number;
  /** 0: no metrics are served. */
  readonly metricsPort: number;
  /** Automatic route reflectors in each zone; 0: none. */
  readonly reflectorsPerZone: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Names of 2018: `profile` is today's `namespace`. */
const OLD_NAMES: Readonly<Record<string, ControllerName>> = { profile: 'namespace' };

/** Errors: the first variable that cannot be used. */
export function controllersSettings(env: Environment): Result<ControllersSettings> {
  const etcd = etcdSettings(env);
  if (!etcd.ok) return etcd;
  const asked = (env['ENABLED_CONTROLLERS'] || CONTROLLERS.join(','))
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const enabled = new Set<ControllerName>();
  for (const name of asked) {
    const known = OLD_NAMES[name] ?? CONTROLLERS.find((controller) => controller === name);
    if (!known)
      return fail(`ENABLED_CONTROLLERS: '${name}' is unknown; use ${CONTROLLERS.join(', ')}`);
    enabled.add(known);
  }
  const port = Number(env['HEALTH_PORT'] || 9097);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    return fail(`HEALTH_PORT: '${env['HEALTH_PORT']}' is no port (1 to 65535)`);
  const metricsPort = Number(env['METRICS_PORT'] || 0);
  if (!Number.isInteger(metricsPort) || metricsPort < 0 || metricsPort > 65535)
    return fail(`METRICS_PORT: '${env['METRICS_PORT']}' is no port (0 to 65535)`);
  const reflectorsPerZone = Number(env['CALICO_ROUTE_REFLECTORS_PER_ZONE'] || 0);
  if (!Number.isInteger(reflectorsPerZone) || reflectorsPerZone < 0 || reflectorsPerZone > 16)
    return fail(
      `CALICO_ROUTE_REFLECTORS_PER_ZONE: '${env['CALICO_ROUTE_REFLECTORS_PER_ZONE']}' must be 0 to 16`,
    );
  return ok({
    reflectorsPerZone,
    etcd: etcd.value,
    enabled,
    logLevel: env['LOG_LEVEL'] || 'info',
    healthHost: env['HEALTH_HOST'] || '127.0.0.1',
    healthPort: port,
    metricsPort,
  });
}
