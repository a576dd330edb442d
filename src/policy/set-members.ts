// Members of ip sets in the kernel's own spelling, so that what is read back compares as text.
import type { WorkloadEndpointPort } from '../model/workload-endpoint.ts';
import { type Cidr, cidrFamily, networkOf, parseCidr, prefixLengthOf } from '../net/cidr.ts';
import { bitsOf, type Family, type Ip } from '../net/ip.ts';

/** A host prefix prints as its address; the kernel refuses a prefix of length 0, halves do. */
export function netMembers(net: Cidr): readonly string[] {
  if (prefixLengthOf(net) === bitsOf(cidrFamily(net))) return [networkOf(net)];
  if (prefixLengthOf(net) > 0) return [net];
  return cidrFamily(net) === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
}

/** The prefixes among texts, of both families; what is no prefix is left out. */
export const netsOf = (texts: readonly string[] | undefined): readonly Cidr[] =>
  (texts ?? []).flatMap((text) => parseCidr(text) ?? []);

/** The family of a member, `10.0.0.0/8` or `fd00::1,tcp:80`. */
export const memberFamily = (member: string): Family => (/^[0-9]+\./.test(member) ? 4 : 6);

export const portMember = (ip: Ip, protocol: string, port: number): string =>
  `${ip},${protocol}:${port}`;

const PROTOCOLS: Readonly<Record<string, string>> = {
  tcp: 'tcp',
  udp: 'udp',
  sctp: 'sctp',
  '6': 'tcp',
  '17': 'udp',
  '132': 'sctp',
};

/** The protocol of an endpoint's port in a set; undefined when no set can hold the port. */
export function portProtocol({ protocol, port }: WorkloadEndpointPort): string | undefined {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  const name = String(protocol).toLowerCase();
  return Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
}
