// Rules as kube-proxy's iptables mode of 1.36 writes them (pkg/proxy/iptables/proxier.go): what each
// service adds. Every service stands for itself, so that one that changes is rendered alone.
import { type Choice, choose, isExternal } from './choose.ts';
import { LOOPBACK } from './localnet.ts';
import type { ServicePort } from './read.ts';
import {
  add,
  at,
  atPort,
  balance,
  chainName,
  comment,
  nothing,
  type Rendered,
  type RenderOptions,
  refusalOf,
  renderEndpoint,
  renderHealthCheck,
  type ServiceChain,
  type Wording,
} from './rules.ts';

const PROBABILITY_DIGITS = 10;

type ChainOf = (kind: ServiceChain) => string;

/** What one port of a service adds: rules in shared lists, and chains of its own. */
export function renderModern(service: ServicePort, options: RenderOptions): Rendered {
  const out = nothing();
  const { id } = service;
  const choice = choose(service, options.place);
  const chain: ChainOf = (kind) => chainName(kind, service, id);
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
    const [why, target] = refusalOf(choice.any);
    add(out.filter, 'KUBE-SERVICES', `${comment(`${id} has ${why}`)} ${toCluster} -j ${target}`);
  }
  renderExternal(service, choice, options, chain, out);
  renderHealthCheck(service, id, out);
  const wording: Wording = {
    id,
    probabilityDigits: PROBABILITY_DIGITS,
    comment: ({ place }) => (options.isLarge ? '' : comment(`${id} -> ${place}`)),
  };
  if (choice.cluster.length > 0) balance(service, chain('SVC'), choice.cluster, wording, out);
  if (choice.local.length > 0) balance(service, chain('SVL'), choice.local, wording, out);
  for (const endpoint of choice.all) renderEndpoint(service, id, endpoint, options, out);
  return out;
}

function renderExternal(
  service: ServicePort,
  choice: Choice,
  options: RenderOptions,
  chain: ChainOf,
  out: Rendered,
): void {
  const { id, protocol, nodePort, externalIps, loadBalancerIps, sourceRanges } = service;
  if (!isExternal(service)) return;
  const isServed = choice.any && (!service.externalLocal || choice.local.length > 0);
  const firewall = choice.any && loadBalancerIps.length > 0 && sourceRanges.length > 0;
  const [why, target] = refusalOf(choice.any);
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
    // A rule of its own, whose counter tells who still calls so.
    if (choice.any && options.localhostNodePorts) {
      const match = `-d ${LOOPBACK} ${atPort(protocol, nodePort)}`;
      add(out.nat, 'KUBE-NODEPORTS', `${comment(id)} ${match} -j ${chain('EXT')}`);
    }
    serve('KUBE-NODEPORTS', id, atPort(protocol, nodePort), chain('EXT'));
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
