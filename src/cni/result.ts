// The result of ADD, in the shape of the asked version (CNI SPEC, section "ADD Success"), and results
// that came from others: of the plugin before in a chain, of an IPAM plugin, of an earlier ADD.
import { type Json, printJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import { isObject } from '../model/resource.ts';
import { hostCidr, type InterfaceAddress, parseInterfaceAddress } from '../net/cidr.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { Fields } from './shape.ts';
import { compareVersions } from './versions.ts';

/** Interface and route entries keep the fields that we do not know. */
export interface ResultInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly sandbox?: string;
}

export interface ResultIp {
  /** Index into the interfaces; IPAM plugins give none. */
  readonly interface?: number;
  /** With its prefix length, host bits kept. */
  readonly address: string;
  readonly gateway?: string;
}

export interface ResultRoute {
  readonly dst: string;
  readonly gw?: string;
}

/** A result as of the newest version. */
export interface CniResult {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultIp[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Fields;
}

const EMPTY: CniResult = { interfaces: [], ips: [], routes: [], dns: {} };

/** What ADD made. */
export interface AddResult {
  readonly hostInterface: string;
  readonly containerInterface: string;
  readonly mac: Mac;
  readonly mtu?: number;
  /** Path of the container's network namespace. */
  readonly sandbox: string;
  readonly ips: readonly Ip[];
  /** Of another IPAM plugin; Calico's own IPAM has none that the pod does not have anyway. */
  readonly routes?: readonly ResultRoute[];
  readonly dns?: Fields;
  /** Of the plugin before in the chain. */
  readonly previous?: CniResult | undefined;
}

/** CNI SPEC: a plugin with a prevResult answers it, with what it has changed. */
export function resultOf(added: AddResult): CniResult {
  const { hostInterface, containerInterface, mac, mtu, sandbox, previous = EMPTY } = added;
  const index = previous.interfaces.length + 1; // ours: the host's end, then the container's
  return {
    interfaces: [
      ...previous.interfaces,
      { name: hostInterface }, // Calico's host entry carries no mac
      { name: containerInterface, mac, ...(mtu ? { mtu } : {}), sandbox },
    ],
    // Gateways are left out: the pod's gateway is on no interface.
    ips: [...previous.ips, ...added.ips.map((ip) => ({ interface: index, address: hostCidr(ip) }))],
    routes: [...previous.routes, ...(added.routes ?? [])],
    dns: { ...previous.dns, ...added.dns },
  };
}

/** The result JSON for stdout. */
export function printResult(version: string, added: AddResult): string {
  return printCniResult(version, resultOf(added));
}

/** A result in the shape of the version. */
export function printCniResult(version: string, result: CniResult): string {
  if (compareVersions(version, '0.3.0') < 0) return printLegacy(version, result);
  const { interfaces, ips, routes, dns } = result;
  const before1 = compareVersions(version, '1.0.0') < 0;
  return printJson({
    cniVersion: version,
    ...(interfaces.length > 0
      ? { interfaces: before1 ? interfaces.map(({ mtu: _mtu, ...rest }) => rest) : interfaces }
      : {}),
    ips: before1 ? ips.map((ip) => ({ version: String(familyOfAddress(ip)), ...ip })) : ips,
    ...(routes.length > 0 ? { routes } : {}),
    ...(before1 || Object.keys(dns).length > 0 ? { dns } : {}),
  });
}

const familyOfAddress = ({ address }: ResultIp): 4 | 6 => (address.includes(':') ? 6 : 4);

function printLegacy(version: string, { ips, routes, dns }: CniResult): string {
  const entry = (family: 4 | 6) => {
    const ip = ips.find((candidate) => familyOfAddress(candidate) === family);
    const own = routes.filter(({ dst }) => dst.includes(':') === (family === 6));
    return (
      ip && {
        ip: ip.address,
        ...(ip.gateway ? { gateway: ip.gateway } : {}),
        ...(own.length > 0 ? { routes: own.map(({ dst, gw }) => ({ dst, gw })) } : {}),
      }
    );
  };
  return printJson({ cniVersion: version, ip4: entry(4), ip6: entry(6), dns });
}

/** A result of any version. Errors: the first field that cannot be used. */
export function parseResult(value: Json): Result<CniResult> {
  if (!isObject(value)) return fail('not an object');
  const list = (key: string): readonly Json[] => {
    const field = value[key];
    return Array.isArray(field) ? field : [];
  };
  const legacy = ['ip4', 'ip6'].flatMap((key) => legacyOf(value[key]));
  const ips = [...list('ips'), ...legacy.map(({ ip }) => ip)];
  const badIp = ips.find((ip) => !isObject(ip) || !parseAddress(ip['address']));
  if (badIp !== undefined) return fail(`ips: ${printJson(badIp).slice(0, 80)} has no address`);
  const interfaces = list('interfaces');
  if (!interfaces.every((one) => isObject(one) && typeof one['name'] === 'string'))
    return fail('interfaces: an entry has no name');
  const routes = [...list('routes'), ...legacy.flatMap((one) => one.routes)];
  if (!routes.every((one) => isObject(one) && typeof one['dst'] === 'string'))
    return fail('routes: an entry has no dst');
  const dns = value['dns'] ?? {};
  return ok({
    interfaces: interfaces as unknown as readonly ResultInterface[],
    ips: ips.map(withoutVersion),
    routes: routes as unknown as readonly ResultRoute[],
    dns: isObject(dns) ? dns : {},
  });
}

function withoutVersion(value: Json): ResultIp {
  const { version: _version, ...ip } = value as Fields;
  return ip as unknown as ResultIp;
}

// 0.1.0 and 0.2.0: `{"ip4": {"ip": "10.0.0.1/24", "gateway": ..., "routes": [...]}}`.
function legacyOf(value: Json | undefined): readonly { ip: Json; routes: readonly Json[] }[] {
  if (!isObject(value ?? null)) return [];
  const { ip, gateway, routes } = value as Fields;
  const address: Json = { address: ip ?? null, ...(gateway ? { gateway } : {}) };
  return [{ ip: address, routes: Array.isArray(routes) ? routes : [] }];
}

const parseAddress = (value: Json | undefined): InterfaceAddress | undefined =>
  typeof value === 'string' ? parseInterfaceAddress(value) : undefined;

/** Addresses of a result: all, or those of one interface (its index). */
export function addressesIn(result: CniResult, index?: number): readonly Ip[] {
  return result.ips
    .filter((ip) => index === undefined || ip.interface === index)
    .flatMap(({ address }) => parseInterfaceAddress(address)?.ip ?? []);
}

/** The first of each family: a pod's interface has one of each. */
export const oneOfEach = (ips: readonly Ip[]): readonly Ip[] =>
  ([4, 6] as const).flatMap((family) => ips.find((ip) => familyOf(ip) === family) ?? []);
