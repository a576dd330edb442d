// What both shapes of rules are made of: names, matches and the chains of endpoints.
import type { Cidr } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import type { Place } from './choose.ts';
import { hash16 } from './names.ts';
import type { Endpoint, ServicePort } from './read.ts';

export interface RenderOptions {
  readonly family: Family;
  readonly place: Place;
  /** Where pods are; undefined: nothing is masqueraded for coming from elsewhere. */
  readonly clusterCidr: Cidr | undefined;
  readonly masqueradeAll: boolean;
  /** As iptables writes it, e.g. `0x4000`. */
  readonly mark: string;
  /** Node ports are served on these; undefined: on all local addresses. */
  readonly nodePortAddresses: readonly Ip[] | undefined;
  /** Node ports are served on loopback addresses too (IPv4). */
  readonly localhostNodePorts: boolean;
  /** What conntrack calls invalid is dropped: it would else reset connections. */
  readonly dropsInvalid: boolean;
  /** So many endpoints that their rules go without comments: two fifths of the text. */
  readonly isLarge: boolean;
  readonly nodeIp: Ip | undefined;
  /** Whether traffic of this range is for the node. */
  readonly inRange: (range: Cidr, ip: Ip) => boolean;
}

/** Chains by table, as restore text after `-A <chain> `. */
export interface Rendered {
  readonly filter: Map<string, string[]>;
  readonly nat: Map<string, string[]>;
}

export const nothing = (): Rendered => ({ filter: new Map(), nat: new Map() });

/** Chains of a service: all endpoints, local ones, from outside (today and in 2018), source ranges. */
export type ServiceChain = 'SVC' | 'SVL' | 'EXT' | 'XLB' | 'FW';

export const comment = (text: string): string => `-m comment --comment "${text}"`;

export function add(
  chains: Map<string, string[]>,
  chain: string,
  ...rules: readonly string[]
): void {
  const list = chains.get(chain) ?? [];
  chains.set(chain, list);
  list.push(...rules);
}

/** Traffic to the service's port of an address. */
export const at = ({ protocol, port }: ServicePort, ip: Ip): string =>
  `-m ${protocol} -p ${protocol} -d ${ip} --dport ${port}`;

/** Traffic to a port of any address. */
export const atPort = (protocol: ServicePort['protocol'], port: number): string =>
  `-m ${protocol} -p ${protocol} --dport ${port}`;

/** Why nobody serves, and what becomes of the traffic: as by a closed port where nobody does in the
 *  whole cluster, silence where only this node must not. */
export const refusalOf = (anySomewhere: boolean): readonly [why: string, target: string] =>
  anySomewhere ? ['no local endpoints', 'DROP'] : ['no endpoints', 'REJECT'];

/** The health checker's way to the node, for services that have one. */
export function renderHealthCheck({ healthCheckNodePort }: ServicePort, id: string, out: Rendered) {
  if (healthCheckNodePort === 0) return;
  const words = comment(`${id} health check node port`);
  add(
    out.filter,
    'KUBE-NODEPORTS',
    `${words} -m tcp -p tcp --dport ${healthCheckNodePort} -j ACCEPT`,
  );
}

/** How a shape writes the parts that both have. */
export interface Wording {
  /** What names are hashed of, and comments begin with: `namespace/name:port`. */
  readonly id: string;
  readonly probabilityDigits: number;
  /** As a match; empty: without one. */
  readonly comment: (endpoint: Endpoint, place: number) => string;
}

const joined = (...words: readonly string[]): string =>
  words.filter((word) => word !== '').join(' ');

export const chainName = (kind: ServiceChain, { protocol }: ServicePort, id: string): string =>
  `KUBE-${kind}-${hash16(id + protocol)}`;

const endpointChain = ({ protocol }: ServicePort, id: string, { place }: Endpoint): string =>
  `KUBE-SEP-${hash16(id + protocol + place)}`;

/** Each endpoint the same chance; a client that was here before goes where it went. */
export function balance(
  service: ServicePort,
  chain: string,
  endpoints: readonly Endpoint[],
  wording: Wording,
  out: Rendered,
): void {
  const targets = endpoints.map((endpoint, i) => ({
    name: endpointChain(service, wording.id, endpoint),
    words: wording.comment(endpoint, i),
  }));
  const { affinitySeconds: seconds } = service;
  if (seconds !== undefined)
    for (const { name, words } of targets) {
      const recent = `-m recent --name ${name} --rcheck --seconds ${seconds} --reap`;
      add(out.nat, chain, joined(words, recent, `-j ${name}`));
    }
  for (const [i, { name, words }] of targets.entries()) {
    const left = targets.length - i;
    const chance = (1 / left).toFixed(wording.probabilityDigits);
    const match = left > 1 ? `-m statistic --mode random --probability ${chance}` : '';
    add(out.nat, chain, joined(words, match, `-j ${name}`));
  }
}

/** An endpoint's chain: its own packets come back to it masqueraded (hairpin). */
export function renderEndpoint(
  service: ServicePort,
  id: string,
  endpoint: Endpoint,
  { isLarge }: RenderOptions,
  out: Rendered,
): void {
  const { protocol, affinitySeconds } = service;
  const name = endpointChain(service, id, endpoint);
  const words = isLarge ? '' : comment(id);
  const remember = affinitySeconds === undefined ? '' : `-m recent --name ${name} --set`;
  const to = `-m ${protocol} -p ${protocol} -j DNAT --to-destination ${endpoint.place}`;
  add(
    out.nat,
    name,
    joined(words, `-s ${endpoint.ip} -j KUBE-MARK-MASQ`),
    joined(words, remember, to),
  );
}
