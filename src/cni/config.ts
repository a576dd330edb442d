// The network configuration on stdin, parsed once: wrong types fail by name, unknown keys are
// reported and ignored (CNI SPEC; Calico's own keys).
import { type Json, parseJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { isObject } from '../model/resource.ts';
import { type CniError, cniError } from './errors.ts';
import { DEFAULT_VERSION, isSupported, SUPPORTED_VERSIONS } from './versions.ts';

export interface NetworkConfig {
  readonly cniVersion: string;
  /** Network name; part of the IPAM handle. */
  readonly name: string;
  readonly type: string;
  /** 0: the agent's effective MTU. */
  readonly mtu: number;
  readonly ipamType: string;
  /** Pool names or CIDRs. */
  readonly ipv4Pools: readonly string[];
  readonly ipv6Pools: readonly string[];
  readonly assignIpv4: boolean;
  readonly assignIpv6: boolean;
  /** Read the pod from the Kubernetes API. */
  readonly kubernetesPolicy: boolean;
  readonly allowIpForwarding: boolean;
  readonly prevResult: Json | undefined;
  readonly unknownKeys: readonly string[];
}

type Fields = { [key: string]: Json };
const KNOWN = new Set([
  'cniVersion',
  'name',
  'type',
  'mtu',
  'ipam',
  'policy',
  'kubernetes',
  'container_settings',
  'prevResult',
  'runtimeConfig',
  'capabilities',
  'args',
  'dns',
  'log_level',
  'log_file_path',
  'log_file_max_size',
  'log_file_max_age',
  'log_file_max_count',
  'nodename',
  'nodename_file',
  'nodename_file_optional',
  'hostname',
  'datastore_type',
  'etcd_endpoints',
  'etcd_discovery_srv',
  'etcd_key_file',
  'etcd_cert_file',
  'etcd_ca_cert_file',
  'etcd_authority',
  'etcd_scheme',
  'ipam_lock_file',
  'feature_control',
  'include_default_routes',
  'readiness_gates',
  'policy_setup_timeout_seconds',
  'endpoint_status_dir',
  'qps',
  'burst',
  'calico_api_group',
  'num_queues',
  'device_type',
  'require_mtu_file',
  'Kubernetes',
  'Policy',
]);

/** Reads typed fields of one object; the first wrong type is remembered with its path. */
function reader(fields: Fields, path: string, wrong: string[]) {
  const read = <T>(key: string, type: string, otherwise: T): T => {
    const value = fields[key];
    if (value === undefined || value === null) return otherwise;
    if (typeof value === type) return value as T;
    wrong.push(`${path}${key} must be a ${type}, not ${describe(value)}`);
    return otherwise;
  };
  return {
    text: (key: string, otherwise = '') => read(key, 'string', otherwise),
    number: (key: string, otherwise: number) => read(key, 'number', otherwise),
    truth: (key: string, otherwise: boolean) => {
      const value = fields[key];
      if (value === 'true' || value === 'false') return value === 'true';
      return read(key, 'boolean', otherwise);
    },
    texts: (key: string): readonly string[] => {
      const value = fields[key] ?? [];
      if (Array.isArray(value) && value.every((x) => typeof x === 'string'))
        return value as string[];
      wrong.push(`${path}${key} must be a list of strings, not ${describe(value)}`);
      return [];
    },
    object: (key: string): Fields => {
      const value = fields[key] ?? {};
      if (isObject(value)) return value;
      wrong.push(`${path}${key} must be an object, not ${describe(value)}`);
      return {};
    },
  };
}

const describe = (value: Json): string =>
  Array.isArray(value)
    ? 'a list'
    : value === null
      ? 'null'
      : `${typeof value} ${String(value).slice(0, 20)}`;

/** Parses stdin. Errors: 6 not JSON, 7 bad or missing fields, 1 unsupported version. */
export function parseConfig(stdin: string): Result<NetworkConfig, CniError> {
  let value: Json;
  try {
    value = parseJson(stdin);
  } catch {
    return fail(cniError('decode', 'the network configuration on stdin is not JSON'));
  }
  if (!isObject(value))
    return fail(cniError('decode', 'the network configuration is not an object'));
  const wrong: string[] = [];
  const top = reader(value, '', wrong);
  const ipam = reader(top.object('ipam'), 'ipam.', wrong);
  const settings = reader(top.object('container_settings'), 'container_settings.', wrong);
  const policy = reader(top.object('policy'), 'policy.', wrong);
  const config: NetworkConfig = {
    cniVersion: top.text('cniVersion') || DEFAULT_VERSION,
    name: top.text('name'),
    type: top.text('type'),
    mtu: top.number('mtu', 0),
    ipamType: ipam.text('type', 'calico-ipam'),
    ipv4Pools: ipam.texts('ipv4_pools'),
    ipv6Pools: ipam.texts('ipv6_pools'),
    assignIpv4: ipam.truth('assign_ipv4', true),
    assignIpv6: ipam.truth('assign_ipv6', false),
    kubernetesPolicy: policy.text('type') === 'k8s',
    allowIpForwarding: settings.truth('allow_ip_forwarding', false),
    prevResult: value['prevResult'],
    unknownKeys: Object.keys(value).filter((key) => !KNOWN.has(key)),
  };
  const problem = wrong[0] ?? problemOf(config);
  if (problem) return fail(cniError('invalidConfig', `network configuration: ${problem}`));
  return versionChecked(config);
}

function versionChecked(config: NetworkConfig): Result<NetworkConfig, CniError> {
  if (isSupported(config.cniVersion)) return ok(config);
  const msg = `cniVersion ${config.cniVersion} is not supported; use one of ${SUPPORTED_VERSIONS.join(', ')}`;
  return fail(cniError('incompatibleVersion', msg));
}

function problemOf(config: NetworkConfig): string | undefined {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(config.name)) {
    return `name '${config.name}' must match ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`;
  }
  // A separator would name a file outside the plugin directory (CVE-2021-20206 class).
  const path = [config.type, config.ipamType].find((type) => /[/\\]|\.\./.test(type));
  if (path !== undefined) return `type '${path}' must be a plugin name without path separators`;
  if (config.mtu < 0 || config.mtu > 65535 || !Number.isInteger(config.mtu)) {
    return `mtu ${config.mtu} must be 0 (automatic) or 68 to 65535`;
  }
  if (config.ipamType !== 'calico-ipam') {
    return `ipam.type '${config.ipamType}' is not supported yet; use calico-ipam`;
  }
  return undefined;
}
