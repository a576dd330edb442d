// The network configuration as the chart gives it -> as this node needs it: words in double
// underscores are replaced, and the outcome must be JSON, or nothing is written.
import { type Json, parseJson } from '../../base/json.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import { isObject } from '../../model/resource.ts';
import type { Environment } from '../environment.ts';

export const DEFAULT_NET_DIR = '/etc/cni/net.d';
export const KUBECONFIG_NAME = 'calico-kubeconfig';

/** Facts of the node that no environment variable carries. */
export interface NodeFacts {
  readonly hostName: string;
  /** The service account's token; empty outside Kubernetes. */
  readonly token: string;
}

// What a placeholder means when no environment variable of its name is set.
const DEFAULTS: Readonly<Record<string, string>> = {
  ETCD_ENDPOINTS: '',
  ETCD_DISCOVERY_SRV: '',
  ETCD_CERT_FILE: '',
  ETCD_KEY_FILE: '',
  ETCD_CA_CERT_FILE: '',
  CNI_MTU: '1500',
  KUBERNETES_SERVICE_HOST: '',
  KUBERNETES_SERVICE_PORT: '',
  LOG_LEVEL: 'info',
  LOG_FILE_PATH: '/var/log/calico/cni/cni.log',
  LOG_FILE_MAX_SIZE: '100',
  LOG_FILE_MAX_AGE: '30',
  LOG_FILE_MAX_COUNT: '10',
  DATASTORE_TYPE: 'kubernetes',
  CALICO_API_GROUP: 'crd.projectcalico.org/v1',
  REQUIRE_MTU_FILE: 'false',
};

const MTU_MAX = 65535;

/** Text of each placeholder on this node. */
export function placeholdersOf(env: Environment, facts: NodeFacts): Map<string, string> {
  const folder = env['CNI_NET_DIR'] || DEFAULT_NET_DIR;
  const plain = Object.entries(DEFAULTS).map(
    ([name, otherwise]) => [name, env[name] || otherwise] as const,
  );
  return new Map([
    ...plain,
    ['KUBECONFIG_FILEPATH', `${folder}/${KUBECONFIG_NAME}`],
    ['KUBECONFIG_FILENAME', KUBECONFIG_NAME],
    [
      'KUBERNETES_NODE_NAME',
      env['KUBERNETES_NODE_NAME'] || env['NODENAME'] || facts.hostName.toLowerCase(),
    ],
    ['SERVICEACCOUNT_TOKEN', facts.token],
  ]);
}

/** Errors: the MTU is no number, a placeholder is unknown, the outcome is no JSON object. */
export function renderConflist(
  template: string,
  placeholders: ReadonlyMap<string, string>,
): Result<string> {
  const mtu = placeholders.get('CNI_MTU') ?? '';
  if (!/^\d+$/.test(mtu) || Number(mtu) > MTU_MAX)
    return fail(`CNI_MTU: '${mtu}' must be a number up to ${MTU_MAX}`);
  const unknown: string[] = [];
  // In YAML, where the settings are written, a word that becomes a number is a text.
  const numbered = template.replaceAll('"__CNI_MTU__"', '__CNI_MTU__');
  const text = numbered.replace(/__([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)__/g, (word, name: string) => {
    const value = placeholders.get(name);
    if (value === undefined) unknown.push(word);
    return JSON.stringify(value ?? '').slice(1, -1); // a quote in a value must not end its string
  });
  if (unknown[0] !== undefined) {
    const known = [...placeholders.keys()].sort().map((name) => `__${name}__`);
    return fail(`CNI_NETWORK_CONFIG: unknown placeholder ${unknown[0]}; known: ${known.join(' ')}`);
  }
  return isJsonObject(text)
    ? ok(text)
    : fail(
        'CNI_NETWORK_CONFIG is no JSON object after its placeholders were replaced; ' +
          'nothing was written, correct the template',
      );
}

function isJsonObject(text: string): boolean {
  try {
    const value: Json = parseJson(text);
    return isObject(value);
  } catch {
    return false;
  }
}
