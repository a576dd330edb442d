// Settings of kube-controllers from its environment.
import { fail, ok, type Result } from '../base/result.ts';
import { type EtcdSettings, etcdSettings } from '../datastore/settings.ts';
import { parseSelector } from '../model/selector/parse.ts';
import { ALL, describeSelectorError, type Selector } from '../model/selector/selector.ts';
import { EVERY_NODE } from './route-reflectors/decide.ts';

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
  /** Nodes that may become route reflectors, by their labels in Kubernetes; or what is wrong with it. */
  readonly reflectorNodes: Result<Selector>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const REFLECTOR_NODES = 'CALICO_ROUTE_REFLECTORS_NODE_SELECTOR';

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
  const reflectors = reflectorSettings(env);
  if (!reflectors.ok) return reflectors;
  return ok({
    ...reflectors.value,
    etcd: etcd.value,
    enabled,
    logLevel: env['LOG_LEVEL'] || 'info',
    healthHost: env['HEALTH_HOST'] || '127.0.0.1',
    healthPort: port,
    metricsPort,
  });
}

type Reflectors = Pick<ControllersSettings, 'reflectorsPerZone' | 'reflectorNodes'>;

// Nodes that are named by labels alone all become reflectors.
function reflectorSettings(env: Environment): Result<Reflectors> {
  const number = env['CALICO_ROUTE_REFLECTORS_PER_ZONE'];
  const perZone = Number(number || 0);
  if (!Number.isInteger(perZone) || perZone < 0 || perZone > 16)
    return fail(`CALICO_ROUTE_REFLECTORS_PER_ZONE: '${number}' must be 0 to 16`);
  const text = env[REFLECTOR_NODES] ?? '';
  if (text === '') return ok({ reflectorsPerZone: perZone, reflectorNodes: ok(ALL) });
  const selector = parseSelector(text);
  // It stops nothing but reflectors from being chosen.
  const reflectorNodes = selector.ok
    ? selector
    : fail(`${REFLECTOR_NODES}: ${describeSelectorError(text, selector.error)}`);
  return ok({ reflectorsPerZone: perZone || EVERY_NODE, reflectorNodes });
}
