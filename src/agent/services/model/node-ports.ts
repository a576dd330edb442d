// On which of the node's addresses node ports are served (pkg/proxy/util/nodeport_addresses.go).
import { type Cidr, cidr, cidrFamily, containsCidr, prefixLengthOf } from '../../../net/cidr.ts';
import { bytesOfIp, type Family, familyOf, type Ip } from '../../../net/ip.ts';
import type { ServiceProxySettings } from '../settings.ts';

const LOOPBACK = cidr('127.0.0.0/8');

/** Undefined: on all. Ranges of one family say nothing of the other. */
export function nodePortRanges(
  { nodePortAddresses }: ServiceProxySettings,
  family: Family,
): readonly Cidr[] | undefined {
  const ranges = nodePortAddresses.filter((range) => cidrFamily(range) === family);
  const isAll = ranges.length === 0 || ranges.some((range) => prefixLengthOf(range) === 0);
  return isAll ? undefined : ranges;
}

/** Whether node ports are served on loopback addresses, which takes sysctl route_localnet. */
export function servesLocalhost(settings: ServiceProxySettings, family: Family): boolean {
  if (family === 6 || !settings.localhostNodePorts) return false;
  const ranges = nodePortRanges(settings, family);
  return !ranges || ranges.some(isAboutLoopback);
}

const isAboutLoopback = (range: Cidr): boolean =>
  containsCidr(LOOPBACK, range) || containsCidr(range, LOOPBACK);

export const isLoopback = (ip: Ip): boolean =>
  familyOf(ip) === 4 ? bytesOfIp(ip)[0] === 127 : ip === '::1';
