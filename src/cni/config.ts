// The network configuration on stdin, parsed once: wrong types fail by name, unknown keys are
// reported and ignored (CNI SPEC; Calico's own keys).
import { type Json, parseJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { isObject } from '../model/resource.ts';
import { parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { CALICO_IPAM, configShape, FOREIGN_IPAM } from './config-shape.ts';
import { type CniError, cniError } from './errors.ts';
import { type CniResult, parseResult } from './result.ts';
import { checkShape, type Fields, readerOf } from './shape.ts';
import { DEFAULT_VERSION, isSupported, SUPPORTED_VERSIONS } from './versions.ts';

export interface NetworkConfig {
  readonly cniVersion: string;
  /** Network name; part of the IPAM handle. */
  readonly name: string;
  readonly type: string;
  /** 0: the agent's effective MTU. */
  readonly mtu: number;
  /** ADD fails while the node's MTU file is absent. */
  readonly requireMtuFile: boolean;
  readonly ipamType: string;
  /** Pool names or CIDRs. */
  readonly ipv4Pools: readonly string[];
  readonly ipv6Pools: readonly string[];
  readonly assignIpv4: boolean;
  readonly assignIpv6: boolean;
  /** Told to main plugins that need one; addresses then carry their pool's prefix length. */
  readonly gateway: Ip | undefined;
  /** Told to other main plugins as they are. */
  readonly ipamRoutes: readonly Json[];
  /** Read the pod from the Kubernetes API. */
  readonly kubernetesPolicy: boolean;
  readonly allowIpForwarding: boolean;
  /** Annotations that have an effect only when the configuration opens them. */
  readonly features: { readonly ipAddrsNoIpam: boolean; readonly floatingIps: boolean };
  /** Default routes beside those of another IPAM plugin. */
  readonly includeDefaultRoutes: boolean;
  /** URLs that must answer before the first ADD. */
  readonly readinessGates: readonly string[];
  /** How long ADD waits for the pod's rules in the kernel; undefined: the agent's own time. */
  readonly policySetupMilliseconds: number | undefined;
  readonly runtimeConfig: Fields;
  /** The result of the plugin before in the chain, or of the ADD that is checked. */
  readonly previous: CniResult | undefined;
  /** `cni.dev/valid-attachments` of GC; undefined when the runtime sent none. */
  readonly validAttachments: readonly Json[] | undefined;
  readonly unknownKeys: readonly string[];
  /** As it came, for the IPAM plugin that it names. */
  readonly raw: Fields;
}

export const CALICO_IPAM_TYPE = 'calico-ipam';

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
  const fields = canonical(value);
  const { wrong, unknown } = checkShape(fields, shapeFor(fields));
  if (wrong[0] !== undefined) return invalid(wrong[0]);
  const previous = fields['prevResult'] ? parseResult(fields['prevResult']) : ok(undefined);
  if (!previous.ok) return fail(cniError('decode', `prevResult: ${previous.error}`));
  const config = readConfig(fields, previous.value, unknown);
  const { device_type: device } = fields;
  if (device && device !== 'veth') {
    const msg = `device_type '${String(device)}' is not supported; use veth`;
    return fail(cniError('unsupportedField', msg));
  }
  const problem = problemOf(config);
  return problem ? invalid(problem) : versionChecked(config);
}

const invalid = (problem: string): Result<never, CniError> =>
  fail(cniError('invalidConfig', `network configuration: ${problem}`));

// Made once: every call is checked against them.
const SHAPE = { calico: configShape(CALICO_IPAM), foreign: configShape(FOREIGN_IPAM) };
const KEYS = new Map(Object.keys(SHAPE.foreign).map((key) => [key.toLowerCase(), key]));

// Go reads keys without regard to case, and configurations of that age rely on it (`Policy`).
function canonical(value: Fields): Fields {
  const entries = Object.entries(value).map(([key, field]): [string, Json] => {
    const name = KEYS.get(key.toLowerCase());
    return name === undefined || (name !== key && name in value) ? [key, field] : [name, field];
  });
  return Object.fromEntries(entries);
}

// Another IPAM plugin's section is that plugin's to judge.
function shapeFor(fields: Fields) {
  const ipam = fields['ipam'];
  const type = isObject(ipam ?? null) ? (ipam as Fields)['type'] : undefined;
  const foreign = typeof type === 'string' && type !== '' && type !== CALICO_IPAM_TYPE;
  return foreign ? SHAPE.foreign : SHAPE.calico;
}

function readConfig(
  fields: Fields,
  previous: CniResult | undefined,
  unknownKeys: readonly string[],
): NetworkConfig {
  const top = readerOf(fields);
  const ipam = readerOf(top.object('ipam'));
  const ipamType = ipam.text('type') || CALICO_IPAM_TYPE;
  const isCalico = ipamType === CALICO_IPAM_TYPE;
  const settings = readerOf(top.object('container_settings'));
  const features = readerOf(top.object('feature_control'));
  // An empty list may come as null.
  const attachments = ['cni.dev/valid-attachments', 'cni.dev/attachments'].find(
    (key) => key in fields,
  );
  return {
    cniVersion: top.text('cniVersion') || DEFAULT_VERSION,
    name: top.text('name'),
    type: top.text('type'),
    mtu: top.number('mtu', 0),
    requireMtuFile: top.truth('require_mtu_file', false),
    ipamType,
    ipv4Pools: isCalico ? ipam.texts('ipv4_pools') : [],
    ipv6Pools: isCalico ? ipam.texts('ipv6_pools') : [],
    assignIpv4: isCalico ? ipam.truth('assign_ipv4', true) : false,
    assignIpv6: isCalico ? ipam.truth('assign_ipv6', false) : false,
    gateway: isCalico ? parseIp(ipam.text('gateway')) : undefined,
    ipamRoutes: isCalico ? ipam.list('routes') : [],
    kubernetesPolicy: readerOf(top.object('policy')).text('type') === 'k8s',
    allowIpForwarding: settings.truth('allow_ip_forwarding', false),
    features: {
      ipAddrsNoIpam: features.truth('ip_addrs_no_ipam', false),
      floatingIps: features.truth('floating_ips', false),
    },
    includeDefaultRoutes: top.truth('include_default_routes', false),
    readinessGates: top.texts('readiness_gates'),
    policySetupMilliseconds: policySetupIn(top.number('policy_setup_timeout_seconds', 0)),
    runtimeConfig: top.object('runtimeConfig'),
    previous,
    validAttachments: attachments === undefined ? undefined : top.list(attachments),
    unknownKeys,
    raw: fields,
  };
}

/** Runtimes give a call up after a few minutes, the shim after 90 s. */
const POLICY_SETUP_SECONDS_MAX = 60;

// Calico's 0 does not wait at all; a pod without its rules is never given away here.
const policySetupIn = (seconds: number): number | undefined =>
  seconds > 0 ? Math.min(seconds, POLICY_SETUP_SECONDS_MAX) * 1000 : undefined;

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
  const path = [config.type, config.ipamType].find((type) => /[/\\\0]|\.\./.test(type));
  if (path !== undefined) return `type '${path}' must be a plugin name without path separators`;
  const { mtu } = config;
  if (!Number.isInteger(mtu) || mtu > 65535 || (mtu !== 0 && mtu < 68)) {
    return `mtu ${mtu} must be 0 (automatic) or 68 to 65535`;
  }
  const { ipam } = config.raw;
  const { subnet, gateway } = (ipam ?? {}) as Fields;
  const isCalico = config.ipamType === CALICO_IPAM_TYPE;
  if (isCalico && /^usePodCidr/i.test(String(subnet ?? '')))
    return `ipam.subnet '${String(subnet)}' works only with ipam.type host-local`;
  if (isCalico && gateway && !config.gateway)
    return `ipam.gateway '${String(gateway).slice(0, 40)}' is no IP address`;
  const badRoute = config.ipamRoutes.find((route) => !isObject(route) || !parseRoute(route));
  return badRoute === undefined ? undefined : 'ipam.routes needs a dst with a CIDR in each entry';
}

const parseRoute = ({ dst }: Fields) => (typeof dst === 'string' ? parseCidr(dst) : undefined);
