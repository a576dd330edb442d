// The result of ADD in the shape of the asked version (CNI SPEC, section "ADD Success").
import { printJson } from '../base/json.ts';
import { type Cidr, hostCidr } from '../net/cidr.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { compareVersions } from './versions.ts';

export interface AddResult {
  readonly hostInterface: string;
  readonly containerInterface: string;
  readonly mac: Mac;
  /** Path of the container's network namespace. */
  readonly sandbox: string;
  readonly ips: readonly Ip[];
}

/** The result JSON for stdout. Gateways are left out: the pod's gateway is on no interface. */
export function printResult(version: string, result: AddResult): string {
  if (compareVersions(version, '0.3.0') < 0) return printLegacy(version, result.ips);
  return printJson({
    cniVersion: version,
    interfaces: [
      { name: result.hostInterface }, // Calico's host entry carries no mac
      { name: result.containerInterface, mac: result.mac, sandbox: result.sandbox },
    ],
    ips: result.ips.map((ip) => ({
      ...familyField(version, ip),
      interface: 1, // indexes the container's interface
      address: hostCidr(ip),
    })),
    dns: {},
  });
}

/** The result of IPAM alone: addresses without an interface to belong to. */
export function printAddresses(version: string, ips: readonly Ip[]): string {
  if (compareVersions(version, '0.3.0') < 0) return printLegacy(version, ips);
  return printJson({
    cniVersion: version,
    ips: ips.map((ip) => ({ ...familyField(version, ip), address: hostCidr(ip) })),
    dns: {},
  });
}

/** `version` of an address: "4" or "6", and gone since 1.0.0. */
const familyField = (version: string, ip: Ip): { readonly version?: string } =>
  compareVersions(version, '1.0.0') < 0 ? { version: String(familyOf(ip)) } : {};

function printLegacy(version: string, ips: readonly Ip[]): string {
  const entry = (family: number): { ip: Cidr } | undefined => {
    const ip = ips.find((candidate) => familyOf(candidate) === family);
    return ip && { ip: hostCidr(ip) };
  };
  return printJson({ cniVersion: version, ip4: entry(4), ip6: entry(6), dns: {} });
}
