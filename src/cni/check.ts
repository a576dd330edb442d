// CHECK's judgement: what the runtime remembers of ADD against what is stored and what the container
// has (CNI SPEC, section "CHECK"). Later plugins of the chain may have changed the container: only
// what nothing but a fault removes is asked for.
import type { InterfaceAddressOfLink, Link, Route } from '../kernel/kernel.ts';
import { type Cidr, cidr, hostCidr } from '../net/cidr.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import { GATEWAY_V4 } from './plan.ts';
import { addressesIn, type CniResult } from './result.ts';

/** The addresses that ADD gave the interface. Errors: the result does not know it. */
export function expectedAddresses(
  previous: CniResult,
  ifname: string,
): { readonly ips: readonly Ip[]; readonly mac: string | undefined } | string {
  const index = previous.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox);
  const found = previous.interfaces[index];
  if (!found) return `prevResult has no interface ${ifname}`;
  const ips = addressesIn(previous, index);
  return ips.length > 0
    ? { ips, mac: found.mac?.toLowerCase() }
    : `prevResult has no address on ${ifname}`;
}

export interface Inside {
  readonly link: Link | undefined;
  readonly addresses: readonly InterfaceAddressOfLink[];
  /** Of the main table. */
  readonly routes: readonly Route[];
}

export interface Expected {
  readonly ifname: string;
  readonly ips: readonly Ip[];
  readonly mac: string | undefined;
  /** Destinations of another IPAM plugin's routes; absent: a default route of each family. */
  readonly destinations?: readonly Cidr[];
}

/** What is missing inside the container; undefined when nothing is. */
export function missingInside(inside: Inside, expected: Expected): string | undefined {
  const { link, addresses, routes } = inside;
  const { ifname, ips, mac } = expected;
  if (!link?.up) return `interface ${ifname} is missing or down in the container`;
  if (mac && link.mac !== mac) return `interface ${ifname} has MAC ${link.mac}, not ${mac}`;
  const present = new Set(addresses.filter((a) => a.linkIndex === link.index).map((a) => a.ip));
  const absent = ips.find((ip) => !present.has(ip));
  if (absent) return `address ${absent} is missing on ${ifname}`;
  if (ips.some((ip) => familyOf(ip) === 4) && !leadsTo(routes, hostCidr(GATEWAY_V4)))
    return `route ${hostCidr(GATEWAY_V4)} is missing in the container`;
  const lost = wanted(expected).find((destination) => !leadsTo(routes, destination));
  return lost && `route ${lost} is missing in the container`;
}

const wanted = ({ ips, destinations }: Expected): readonly Cidr[] =>
  destinations ?? ips.map((ip) => cidr(familyOf(ip) === 4 ? '0.0.0.0/0' : '::/0'));

const leadsTo = (routes: readonly Route[], destination: Cidr): boolean =>
  routes.some((route) => route.destination === destination && route.kind === 'unicast');
