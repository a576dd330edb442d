// Rules in the shape of kube-proxy in 2018 (1.10), for those who read nodes by the listings of that
// time: two rules for each service in KUBE-SERVICES, masquerading first, and a port without a name
// still has its colon. Choice of endpoints is today's, and so are the chains of
// internalTrafficPolicy Local, which 2018 did not know.
import { type Choice, choose, isExternal } from './choose.ts';
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

const PROBABILITY_DIGITS = 5;

/** A service with what its rules are written from. */
interface Subject {
  readonly service: ServicePort;
  readonly id: string;
  readonly choice: Choice;
  readonly options: RenderOptions;
  readonly chain: (kind: ServiceChain) => string;
  readonly out: Rendered;
}

/** What one port of a service adds: rules in shared lists, and chains of its own. */
export function render2018(service: ServicePort, options: RenderOptions): Rendered {
  const out = nothing();
  const id = service.hasPortName ? service.id : `${service.id}:`;
  const choice = choose(service, options.place);
  const chain = (kind: ServiceChain): string => chainName(kind, service, id);
  const subject: Subject = { service, id, choice, options, chain, out };
  renderInternal(subject);
  if (isExternal(service)) renderExternal(subject);
  renderHealthCheck(service, id, out);
  const wording: Wording = {
    id,
    probabilityDigits: PROBABILITY_DIGITS,
    comment: () => (options.isLarge ? '' : comment(id)),
  };
  if (choice.cluster.length > 0) balance(service, chain('SVC'), choice.cluster, wording, out);
  if (service.internalLocal && choice.local.length > 0)
    balance(service, chain('SVL'), choice.local, wording, out);
  if (service.externalLocal && choice.any) renderLocal(subject);
  for (const endpoint of choice.all) renderEndpoint(service, id, endpoint, options, out);
  return out;
}

function renderInternal({ service, id, choice, options, chain, out }: Subject): void {
  const toCluster = at(service, service.clusterIp);
  if (!choice.any || (service.internalLocal && choice.local.length === 0)) {
    const [why, target] = refusalOf(choice.any);
    add(out.filter, 'KUBE-SERVICES', `${comment(`${id} has ${why}`)} ${toCluster} -j ${target}`);
    return;
  }
  const match = `${comment(`${id} cluster IP`)} ${toCluster}`;
  const { masqueradeAll, clusterCidr } = options;
  const elsewhere = masqueradeAll ? '' : ` ! -s ${clusterCidr}`;
  if (masqueradeAll || clusterCidr)
    add(out.nat, 'KUBE-SERVICES', `${match}${elsewhere} -j KUBE-MARK-MASQ`);
  add(out.nat, 'KUBE-SERVICES', `${match} -j ${chain(service.internalLocal ? 'SVL' : 'SVC')}`);
}

function renderExternal(subject: Subject): void {
  const { service, id, choice, chain, out } = subject;
  const { nodePort, externalIps, loadBalancerIps, externalLocal, protocol } = service;
  const refuse = (match: string): void =>
    add(
      out.filter,
      'KUBE-EXTERNAL-SERVICES',
      `${comment(`${id} has no endpoints`)} ${match} -j REJECT`,
    );
  const port = atPort(protocol, nodePort);
  if (!choice.any) {
    for (const ip of [...externalIps, ...loadBalancerIps]) refuse(at(service, ip));
    if (nodePort !== 0) refuse(`-m addrtype --dst-type LOCAL ${port}`);
    return;
  }
  for (const ip of externalIps) {
    const match = `${comment(`${id} external IP`)} ${at(service, ip)}`;
    // From a bridge's pod the packet comes back through the bridge: not masqueraded, not taken there.
    const fromOutside = '-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL';
    add(
      out.nat,
      'KUBE-SERVICES',
      ...(externalLocal ? [] : [`${match} -j KUBE-MARK-MASQ`]),
      `${match} ${fromOutside} -j ${chain(externalLocal ? 'XLB' : 'SVC')}`,
      `${match} -m addrtype --dst-type LOCAL -j ${chain(externalLocal ? 'XLB' : 'SVC')}`,
    );
  }
  for (const ip of loadBalancerIps) {
    const match = `${comment(`${id} loadbalancer IP`)} ${at(service, ip)}`;
    add(out.nat, 'KUBE-SERVICES', `${match} -j ${chain('FW')}`);
  }
  if (loadBalancerIps.length > 0) renderFirewall(subject);
  if (nodePort === 0) return;
  const match = `${comment(id)} ${port}`;
  const loopback = subject.options.family === 6 ? '::1/128' : '127.0.0.0/8';
  add(
    out.nat,
    'KUBE-NODEPORTS',
    `${match}${externalLocal ? ` -s ${loopback}` : ''} -j KUBE-MARK-MASQ`,
    `${match} -j ${chain(externalLocal ? 'XLB' : 'SVC')}`,
  );
}

/** The load balancer's addresses: nobody but those in the ranges comes further. */
function renderFirewall({ service, id, options, chain, out }: Subject): void {
  const { sourceRanges, loadBalancerIps, externalLocal } = service;
  const { nodeIp, inRange } = options;
  const words = comment(`${id} loadbalancer IP`);
  const to = chain(externalLocal ? 'XLB' : 'SVC');
  const own = nodeIp !== undefined && sourceRanges.some((range) => inRange(range, nodeIp));
  const sources = [...sourceRanges, ...(own ? loadBalancerIps : [])];
  add(
    out.nat,
    chain('FW'),
    ...(externalLocal ? [] : [`${words} -j KUBE-MARK-MASQ`]),
    ...(sources.length === 0
      ? [`${words} -j ${to}`]
      : sources.map((source) => `${words} -s ${source} -j ${to}`)),
    `${words} -j KUBE-MARK-DROP`,
  );
}

/** externalTrafficPolicy Local: the client's address stays, so only endpoints of this node serve. */
function renderLocal({ service, id, choice, options, chain, out }: Subject): void {
  if (!isExternal(service)) return;
  const pods = 'Redirect pods trying to reach external loadbalancer VIP to clusterIP';
  const { clusterCidr } = options;
  if (clusterCidr)
    add(out.nat, chain('XLB'), `${comment(pods)} -s ${clusterCidr} -j ${chain('SVC')}`);
  if (choice.local.length === 0) {
    const words = comment(`${id} has no local endpoints`);
    add(out.nat, chain('XLB'), `${words} -j KUBE-MARK-DROP`);
    return;
  }
  const wording: Wording = {
    id,
    probabilityDigits: PROBABILITY_DIGITS,
    comment: (_, place) => comment(`Balancing rule ${place} for ${id}`),
  };
  balance(service, chain('XLB'), choice.local, wording, out);
}
