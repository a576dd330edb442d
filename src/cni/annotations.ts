// What a pod and its namespace wish for by annotations (pod over namespace over configuration). An
// annotation of a feature that is not switched on fails the ADD or is left out; it never has an effect.
import { type Json, parseJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import type { QosControls } from '../model/workload-endpoint.ts';
import { type Cidr, parseCidr } from '../net/cidr.ts';
import { familyOf, type Ip, parseIp } from '../net/ip.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import { type CniError, cniError } from './errors.ts';
import { qosIn } from './qos.ts';
import type { CniRequest } from './request.ts';

type Annotations = Readonly<Record<string, string>>;

/** Kubernetes puts it on the pods of a StatefulSet. */
const ORDINAL_LABEL = 'statefulset.kubernetes.io/pod-name';

/** The StatefulSet that a pod is an ordinal of: only its names come again. */
export function statefulSetOf(
  name: string,
  labels: Readonly<Record<string, string>> = {},
): string | undefined {
  return labels[ORDINAL_LABEL] === name ? /^(.+)-\d+$/.exec(name)?.[1] : undefined;
}

/** What KubeVirt writes on the pods of its VMs. */
const KUBEVIRT = {
  role: 'kubevirt.io',
  machine: 'vm.kubevirt.io/name',
  instanceUid: 'kubevirt.io/created-by',
  migration: 'kubevirt.io/migrationJobUID',
} as const;

export interface Machine {
  readonly name: string;
  /** Of the VirtualMachineInstance. */
  readonly uid: string | undefined;
}

/**
 * The KubeVirt VM that a pod runs. Undefined for other pods; for the target of a live migration,
 * which stands beside the VM's running pod and must not take its address from it; and where the
 * label is no name but a digest of one (63 characters and more).
 */
export function machineOf(
  labels: Annotations = {},
  annotations: Annotations = {},
): Machine | undefined {
  const name = labels[KUBEVIRT.machine];
  if (labels[KUBEVIRT.role] !== 'virt-launcher' || !name || labels[KUBEVIRT.migration])
    return undefined;
  const domain = annotations['kubevirt.io/domain'] ?? name;
  return domain === name ? { name, uid: labels[KUBEVIRT.instanceUid] } : undefined;
}

const CALICO = 'cni.projectcalico.org/';
export const FLOATING_IPS = `${CALICO}floatingIPs`;
const KEYS = {
  addresses: `${CALICO}ipAddrs`,
  addressesNoIpam: `${CALICO}ipAddrsNoIpam`,
  pools4: `${CALICO}ipv4pools`,
  pools6: `${CALICO}ipv6pools`,
  families: `${CALICO}ipFamilies`,
  floating: FLOATING_IPS,
  mac: `${CALICO}hwAddr`,
  sources: `${CALICO}allowedSourcePrefixes`,
  stable: 'calico-kit.io/stable-address',
} as const;

/** What an ADD shall give, annotations and configuration taken together. */
export interface Wishes {
  /** By name, out of Calico's IPAM. */
  readonly addresses: readonly Ip[];
  /** By name, without a record in any IPAM. */
  readonly addressesNoIpam: readonly Ip[];
  readonly pools4: readonly string[];
  readonly pools6: readonly string[];
  readonly assign4: boolean;
  readonly assign6: boolean;
  readonly floatingIps: readonly Ip[];
  readonly mac: Mac | undefined;
  readonly sourcePrefixes: readonly Cidr[];
  readonly qos: QosControls | undefined;
  /** Keep the address for the next pod of this name. */
  readonly stableAddress: boolean;
}

/** What the annotations are judged by. */
export interface WishFacts {
  readonly request: CniRequest;
  readonly pod: Annotations | undefined;
  readonly namespace: Annotations | undefined;
  /** FelixConfiguration workloadSourceSpoofing is Any. */
  readonly spoofingAllowed: boolean;
}

/** Errors: 7 for what cannot be read, 103 for what is not switched on; the annotation by name. */
export function wishesOf(facts: WishFacts): Result<Wishes, CniError> {
  const read = readerOf(facts.pod ?? {}, facts.namespace ?? {});
  const { config, requestedIp } = facts.request;
  const families = read.texts(KEYS.families, 'inherited');
  const badFamily = families?.find((family) => !/^IPv[46]$/i.test(family));
  if (badFamily !== undefined) read.wrong(KEYS.families, `'${badFamily}' is neither IPv4 nor IPv6`);
  const has = (version: string): boolean | undefined =>
    families?.some((family) => family.toLowerCase() === version);
  const asked = read.ips(KEYS.addresses);
  const qos = qosIn(facts.pod ?? {});
  const wishes: Wishes = {
    addresses: asked.length > 0 ? asked : requestedIp ? [requestedIp] : [],
    addressesNoIpam: read.ips(KEYS.addressesNoIpam),
    pools4: read.texts(KEYS.pools4, 'inherited') ?? config.ipv4Pools,
    pools6: read.texts(KEYS.pools6, 'inherited') ?? config.ipv6Pools,
    assign4: has('ipv4') ?? config.assignIpv4,
    assign6: has('ipv6') ?? config.assignIpv6,
    floatingIps: read.many(KEYS.floating, parseIp),
    mac: read.mac(KEYS.mac),
    sourcePrefixes: facts.spoofingAllowed ? read.many(KEYS.sources, parseCidr) : [],
    qos: qos.ok ? qos.value : undefined,
    stableAddress: read.text(KEYS.stable) === 'true',
  };
  const badLimit = qos.ok ? undefined : cniError('invalidConfig', qos.error);
  const problem = read.problem() ?? badLimit ?? problemOf(wishes, facts.request);
  return problem ? fail(problem) : ok(withFamiliesOfAddresses(wishes));
}

// An address by name is wished for whatever the configuration says of its family.
function withFamiliesOfAddresses(wishes: Wishes): Wishes {
  const { addresses } = wishes;
  if (addresses.length === 0) return wishes;
  const has = (family: 4 | 6): boolean => addresses.some((ip) => familyOf(ip) === family);
  return { ...wishes, assign4: has(4), assign6: has(6) };
}

function problemOf(wishes: Wishes, { config }: CniRequest): CniError | undefined {
  const { features, ipamType } = config;
  const closed = (key: string, feature: string): CniError =>
    cniError(
      'featureDisabled',
      `${key}: feature_control.${feature} is not true in the CNI configuration`,
    );
  if (wishes.addressesNoIpam.length > 0 && !features.ipAddrsNoIpam)
    return closed(KEYS.addressesNoIpam, 'ip_addrs_no_ipam');
  if (wishes.floatingIps.length > 0 && !features.floatingIps)
    return closed(KEYS.floating, 'floating_ips');
  if (wishes.addresses.length > 0 && wishes.addressesNoIpam.length > 0)
    return bad(KEYS.addressesNoIpam, `it cannot stand beside ${KEYS.addresses}`);
  if (wishes.addresses.length > 0 && ipamType !== 'calico-ipam')
    return bad(KEYS.addresses, `it needs ipam.type calico-ipam, not ${ipamType}`);
  const { addresses, addressesNoIpam, assign4, assign6 } = wishes;
  const none = addresses.length + addressesNoIpam.length === 0 && !assign4 && !assign6;
  if (none && ipamType === 'calico-ipam')
    return cniError('invalidConfig', 'network configuration: neither IPv4 nor IPv6 is assigned');
  return undefined;
}

const bad = (key: string, problem: string): CniError =>
  cniError('invalidConfig', `annotation ${key}: ${problem}`);

/** Reads annotations; the first that cannot be read is remembered. */
function readerOf(pod: Annotations, namespace: Annotations) {
  let first: CniError | undefined;
  const wrong = (key: string, problem: string): void => {
    first ??= bad(key, problem);
  };
  const textIn = (key: string, from: Annotations): string | undefined =>
    Object.hasOwn(from, key) ? from[key]?.trim() || undefined : undefined;
  const text = (key: string): string | undefined => textIn(key, pod);
  const texts = (key: string, scope?: 'inherited'): readonly string[] | undefined => {
    const value = text(key) ?? (scope ? textIn(key, namespace) : undefined);
    if (value === undefined) return undefined;
    const list = listIn(value);
    if (!list) wrong(key, `'${value.slice(0, 40)}' is no JSON list of strings`);
    return list;
  };
  const many = <T>(key: string, parse: (one: string) => T | undefined): readonly T[] =>
    (texts(key) ?? []).flatMap((one) => {
      const parsed = parse(one.trim());
      if (parsed === undefined) wrong(key, `'${one.slice(0, 50)}' cannot be read`);
      return parsed === undefined ? [] : [parsed];
    });
  return {
    wrong,
    text,
    texts,
    many,
    problem: () => first,
    /** At most one a family. */
    ips: (key: string): readonly Ip[] => {
      const ips = many(key, parseIp);
      for (const family of [4, 6] as const)
        if (ips.filter((ip) => familyOf(ip) === family).length > 1)
          wrong(key, `more than one IPv${family} address`);
      return ips;
    },
    mac: (key: string): Mac | undefined => {
      const value = text(key);
      const parsed = value === undefined ? undefined : parseMac(value);
      if (value !== undefined && !(parsed && isUnicast(parsed)))
        wrong(key, `'${value.slice(0, 40)}' is no unicast MAC address`);
      return parsed;
    },
  };
}

// IEEE 802: the lowest bit of the first octet marks a group.
const isUnicast = (mac: Mac): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0;

function listIn(text: string): readonly string[] | undefined {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    return undefined;
  }
  const good = Array.isArray(value) && value.every((one) => typeof one === 'string');
  return good ? (value as string[]) : undefined;
}
