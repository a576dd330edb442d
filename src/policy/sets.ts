// Ip sets with their fixed parameters, and those that do not come from selectors.
import type { IpSetMeta } from '../kernel/tables.ts';
import type { IpPool } from '../model/ip-pool.ts';
import { type Family, type Ip, ip } from '../net/ip.ts';
import type { DesiredSet } from './desired.ts';
import type { Members } from './members/members.ts';
import { RULE_DEFAULTS } from './read/rule-settings.ts';
import { setName } from './render/names.ts';
import { memberFamily, netMembers, netsOf } from './set-members.ts';

const makeSet =
  (type: IpSetMeta['type']) =>
  (
    family: Family,
    id: string,
    members: Members,
    maxElements = RULE_DEFAULTS.setElementsMax,
  ): DesiredSet => ({
    meta: { name: setName(family, id), type, family: family === 4 ? 'inet' : 'inet6', maxElements },
    members,
  });

export const netSet = makeSet('hash:net');
export const portSet = makeSet('hash:ip,port');
const ipSet = makeSet('hash:ip');

export interface FixedSetsInput {
  readonly family: Family;
  readonly pools: readonly IpPool[];
  /** All nodes' addresses; undefined when there is no tunnel that asks for them. */
  readonly hosts: readonly string[] | undefined;
  /** Other nodes with a VXLAN device; undefined when there is no VXLAN. */
  readonly vxlanHosts: readonly Ip[] | undefined;
  readonly nodeAddress: Ip | undefined;
  readonly elementsMax: number;
}

/** The pools (all, and those whose packets are masqueraded outside), the host, and other hosts. */
export function fixedSets(input: FixedSetsInput): readonly DesiredSet[] {
  const { family, pools, hosts, vxlanHosts, nodeAddress, elementsMax } = input;
  const netsIn = (id: string, members: Members) => netSet(family, id, members, elementsMax);
  const nets = (chosen: readonly IpPool[]): ReadonlySet<string> =>
    new Set(
      netsOf(chosen.map(({ spec }) => spec.cidr))
        .flatMap(netMembers)
        .filter((member) => memberFamily(member) === family),
    );
  const loopback = family === 4 ? ['127.0.0.0', '127.0.0.1'] : ['::1'];
  const own = nodeAddress ? [nodeAddress] : [];
  return [
    netsIn('network-ip-pools', nets(pools)),
    netsIn('masq-ipam-pools', nets(pools.filter(({ spec }) => spec.natOutgoing))),
    ipSet(family, 'this-host', new Set([...own, ...loopback.map(ip)]), elementsMax),
    ...(hosts
      ? [netsIn('all-hosts-net', new Set(hosts.filter((host) => memberFamily(host) === family)))]
      : []),
    ...(vxlanHosts ? [netsIn('all-vxlan-net', new Set(vxlanHosts))] : []),
  ];
}
