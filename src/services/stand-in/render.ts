// Rules as kube-proxy's iptables mode of 1.36 writes them (pkg/proxy/iptables/proxier.go): what there
// is without services, and what each service adds. Every service stands for itself, so that one that
// changes is rendered alone.
import type { ChainRules } from '../../kernel/tables.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import { choose, isExternal, type Place } from './choose.ts';
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
  readonly nodeIp: Ip | undefined;
  /** Whether traffic of this range is for the node. */
  readonly inRange: (range: Cidr, ip: Ip) => boolean;
}

/** Chains by table, as restore text after `-A <chain> `. */
export interface Rendered {
  readonly filter: Map<string, string[]>;
  readonly nat: Map<string, string[]>;
}

export const comment = (text: string): string => `-m comment --comment "${text}"`;

const add = (chains: Map<string, string[]>, chain: string, ...rules: readonly string[]): void => {
  const list = chains.get(chain) ?? [];
  chains.set(chain, list);
  list.push(...rules);
};

/** What one port of a service adds: rules in shared lists, and chains of its own. */
export function renderService(service: ServicePort, options: RenderOptions): Rendered {
  const out: Rendered = { filter: new Map(), nat: new Map() };
  const { id, protocol } = service;
  const choice = choose(service, options.place);
  const key = hash16(id + protocol);
  const chain = (kind: string): string => `KUBE-${kind}-${key}`;
  const internal = service.internalLocal ? chain('SVL') : chain('SVC');
  const hasInternal = choice.any && (!service.internalLocal || choice.local.length > 0);
  const toCluster = at(service, service.clusterIp);
  if (hasInternal) {
    const match = `${comment(`${id} cluster IP`)} ${toCluster}`;
    add(out.nat, 'KUBE-SERVICES', `${match} -j ${internal}`);
    const { masqueradeAll, clusterCidr } = options;
    if (masqueradeAll) add(out.nat, internal, `${match} -j KUBE-MARK-MASQ`);
    else if (clusterCidr) add(out.nat, internal, `${match} ! -s ${clusterCidr} -j KUBE-MARK-MASQ`);
  } else {
    const [why, target] = choice.any ? ['no local endpoints', 'DROP'] : ['no endpoints', 'REJECT'];
    add(out.filter, 'KUBE-SERVICES', `${comment(`${id} has ${why}`)} ${toCluster} -j ${target}`);
  }
  renderExternal(service, choice, options, chain, out);
  if (service.healthCheckNodePort !== 0)
    add(
      out.filter,
      'KUBE-NODEPORTS',
      `${comment(`${id} health check node port`)} -m tcp -p tcp --dport ${service.healthCheckNodePort} -j ACCEPT`,
    );
  if (choice.cluster.length > 0) balance(service, chain('SVC'), choice.cluster, out);
  if (choice.local.length > 0) balance(service, chain('SVL'), choice.local, out);
  for (const endpoint of choice.all) renderEndpoint(service, endpoint, out);
  return out;
}

const at = ({ protocol, port }: ServicePort, ip: Ip): string =>
  `-m ${protocol} -p ${protocol} -d ${ip} --dport ${port}`;

type ChainOf = (kind: 'SVC' | 'SVL' | 'EXT' | 'FW') => string;

function renderExternal(
  service: ServicePort,
  choice: ReturnType<typeof choose>,
  options: RenderOptions,
  chain: ChainOf,
  out: Rendered,
): void {
  const { id, protocol, nodePort, externalIps, loadBalancerIps, sourceRanges } = service;
  if (!isExternal(service)) return;
  const isServed = choice.any && (!service.externalLocal || choice.local.length > 0);
  const firewall = choice.any && loadBalancerIps.length > 0 && sourceRanges.length > 0;
  const [why, target] = choice.any ? ['no local endpoints', 'DROP'] : ['no endpoints', 'REJECT'];
  const refuse = (match: string): void => {
    if (isServed) return;
    add(
      out.filter,
      'KUBE-EXTERNAL-SERVICES',
      `${comment(`${id} has ${why}`)} ${match} -j ${target}`,
    );
  };
  const serve = (list: string, words: string, match: string, to: string): void => {
    if (choice.any) add(out.nat, list, `${comment(words)} ${match} -j ${to}`);
    refuse(list === 'KUBE-NODEPORTS' ? `-m addrtype --dst-type LOCAL ${match}` : match);
  };
  for (const ip of externalIps)
    serve('KUBE-SERVICES', `${id} external IP`, at(service, ip), chain('EXT'));
  for (const ip of loadBalancerIps) {
    const to = firewall ? chain('FW') : chain('EXT');
    serve('KUBE-SERVICES', `${id} loadbalancer IP`, at(service, ip), to);
    if (!firewall) continue;
    const words = comment(`${id} traffic not accepted by ${chain('FW')}`);
    add(out.filter, 'KUBE-PROXY-FIREWALL', `${words} ${at(service, ip)} -j DROP`);
  }
  if (nodePort !== 0) {
    const match = `-m ${protocol} -p ${protocol} --dport ${nodePort}`;
    serve('KUBE-NODEPORTS', id, match, chain('EXT'));
  }
  if (!choice.any) return;
  add(out.nat, chain('EXT'), ...externalRules(service, options, chain, isServed));
  if (firewall) add(out.nat, chain('FW'), ...firewallRules(service, options, chain));
}

function externalRules(
  { id, externalLocal }: ServicePort,
  { clusterCidr }: RenderOptions,
  chain: ChainOf,
  isServed: boolean,
): readonly string[] {
  const words = (what: string): string => comment(`${what} for ${id} external destinations`);
  const local = '-m addrtype --src-type LOCAL';
  const rest = isServed ? [`-j ${chain(externalLocal ? 'SVL' : 'SVC')}`] : [];
  if (!externalLocal) return [`${words('masquerade traffic')} -j KUBE-MARK-MASQ`, ...rest];
  return [
    ...(clusterCidr ? [`${words('pod traffic')} -s ${clusterCidr} -j ${chain('SVC')}`] : []),
    `${words('masquerade LOCAL traffic')} ${local} -j KUBE-MARK-MASQ`,
    `${words('route LOCAL traffic')} ${local} -j ${chain('SVC')}`,
    ...rest,
  ];
}

function firewallRules(
  { id, sourceRanges, loadBalancerIps }: ServicePort,
  { nodeIp, inRange }: RenderOptions,
  chain: ChainOf,
): readonly string[] {
  const words = comment(`${id} loadbalancer IP`);
  const own = nodeIp !== undefined && sourceRanges.some((range) => inRange(range, nodeIp));
  return [
    ...[...sourceRanges, ...(own ? loadBalancerIps : [])].map(
      (source) => `${words} -s ${source} -j ${chain('EXT')}`,
    ),
    comment(`other traffic to ${id} will be dropped by KUBE-PROXY-FIREWALL`),
  ];
}

const endpointChain = ({ id, protocol }: ServicePort, { place }: Endpoint): string =>
  `KUBE-SEP-${hash16(id + protocol + place)}`;

const PROBABILITY_DIGITS = 10;

function balance(
  service: ServicePort,
  chain: string,
  endpoints: readonly Endpoint[],
  out: Rendered,
): void {
  const targets = endpoints.map((endpoint) => ({
    name: endpointChain(service, endpoint),
    words: comment(`${service.id} -> ${endpoint.place}`),
  }));
  const { affinitySeconds: seconds } = service;
  if (seconds !== undefined)
    for (const { name, words } of targets)
      add(
        out.nat,
        chain,
        `${words} -m recent --name ${name} --rcheck --seconds ${seconds} --reap -j ${name}`,
      );
  for (const [i, { name, words }] of targets.entries()) {
    const left = targets.length - i;
    const chance = (1 / left).toFixed(PROBABILITY_DIGITS);
    const match = left > 1 ? ` -m statistic --mode random --probability ${chance}` : '';
    add(out.nat, chain, `${words}${match} -j ${name}`);
  }
}

function renderEndpoint(service: ServicePort, endpoint: Endpoint, out: Rendered): void {
  const { id, protocol, affinitySeconds } = service;
  const name = endpointChain(service, endpoint);
  const remember = affinitySeconds === undefined ? '' : ` -m recent --name ${name} --set`;
  add(
    out.nat,
    name,
    `${comment(id)} -s ${endpoint.ip} -j KUBE-MARK-MASQ`,
    `${comment(id)}${remember} -m ${protocol} -p ${protocol} -j DNAT --to-destination ${endpoint.place}`,
  );
}

export type Chains = ReadonlyMap<string, ChainRules>;
