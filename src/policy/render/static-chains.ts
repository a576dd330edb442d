// The chains that are always there: entries from the kernel's hooks, the way to the endpoint
// chains, NAT for packets that leave the pool, and empty chains where host endpoint policy will
// hang. Order inside a chain is meaning; it follows Felix rule by rule.
import type { TableName } from '../../kernel/tables.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import type { FelixSettings } from '../read/resources.ts';
import {
  ACCEPT,
  ALL_MARKS,
  all,
  clearMark,
  connection,
  DROP,
  goto,
  inInterface,
  inSet,
  jump,
  MARK,
  MASQUERADE,
  marked,
  notConnection,
  notInSet,
  outInterface,
  RETURN,
  setMark,
  unmarked,
} from './fragments.ts';
import { setName } from './names.ts';
import type { Chain, Rule } from './rule.ts';
import {
  devicesOf,
  fromTunnels,
  intoTunnels,
  type Tunnelled,
  throughTunnel,
  untracked,
} from './tunnel-rules.ts';

export type { Tunnelled } from './tunnel-rules.ts';

/** What the operator may choose. */
export interface PolicySettings {
  /** What a workload's packet to its own host meets after its egress policy. */
  readonly endpointToHostAction: 'DROP' | 'RETURN' | 'ACCEPT';
  /** A `tunl0` device carries traffic between nodes; `pools`: when an enabled pool asks for it. */
  readonly ipipEnabled: boolean | 'pools';
  /** VXLAN devices carry traffic between nodes, likewise; absent: no. */
  readonly vxlanEnabled?: 'pools';
  /** Tell of packets (NFLOG) before policy drops them; absent: no, and the rules are Felix's. */
  readonly logDenied?: boolean;
  /** What the environment says of what FelixConfiguration may say too; it has the last word. */
  readonly felix?: FelixSettings;
}

/** Our rules in the kernel's own chains, by kernel chain. */
export interface Hooks {
  /** First in the chain, in this order. */
  readonly inserts: ReadonlyMap<string, readonly Rule[]>;
  /** After what others have put there. */
  readonly appends: ReadonlyMap<string, readonly Rule[]>;
}

export const WORKLOADS = 'cali+';
const HOST_POLICY_ACCEPTED = ['Host endpoint policy accepted packet.'];

const chain = (name: string, ...rules: readonly Rule[]): Chain => ({ name, rules });
const rule = (match: string, action: string, comments: readonly string[] = []): Rule => ({
  match,
  action,
  comments,
});
const isAccepted = marked(MARK.accept);

/** The table's hooks. */
export function hooksOf(table: TableName): Hooks {
  const jumps = (...names: string[]) =>
    new Map(names.map((name) => [name, [rule('', jump(`cali-${name}`))]]));
  switch (table) {
    case 'raw':
      return { inserts: jumps('PREROUTING', 'OUTPUT'), appends: new Map() };
    case 'mangle':
      return { inserts: jumps('PREROUTING', 'POSTROUTING'), appends: new Map() };
    case 'nat':
      // kube-proxy has to see (and clear) its own mark first, therefore appended.
      return { inserts: jumps('PREROUTING', 'OUTPUT'), appends: jumps('POSTROUTING') };
    case 'filter':
      return { inserts: jumps('INPUT', 'FORWARD', 'OUTPUT'), appends: forwardAppends };
  }
}

const forwardAppends: Hooks['appends'] = new Map([
  [
    'FORWARD',
    [
      rule(isAccepted, ACCEPT, ['Policy explicitly accepted packet.']),
      rule('', setMark(MARK.accept)),
    ],
  ],
]);

/** The table's fixed chains. */
export function staticChains(
  table: TableName,
  family: Family,
  settings: PolicySettings,
  // IP-in-IP runs over IPv4; IPv6 has nothing of the kind.
  tunnelled: Tunnelled = {
    ipip: settings.ipipEnabled === true && family === 4,
    vxlanPort: undefined,
  },
): readonly Chain[] {
  const set = (id: string): string => setName(family, id);
  switch (table) {
    case 'raw':
      return rawChains(tunnelled);
    case 'mangle':
      return mangleChains;
    case 'nat':
      return natChains(set, family, tunnelled);
    case 'filter':
      return filterChains(set, family, settings, tunnelled);
  }
}

const fromWorkload = marked(MARK.scratch0);

/** What a workload may send from beside its own addresses. */
export interface AllowedSources {
  readonly interfaceName: string;
  /** Of the table's family. */
  readonly nets: readonly Cidr[];
}

/** Packets that the reverse path check does not see. */
export function sourceChain(allowed: readonly AllowedSources[]): Chain {
  const rules = allowed.flatMap(({ interfaceName, nets }) =>
    nets.map((net) => rule(all(inInterface(interfaceName), `--source ${net}`), ACCEPT)),
  );
  return chain('cali-rpf-skip', ...rules);
}

const rawChains = (tunnelled: Tunnelled): readonly Chain[] => [
  chain(
    'cali-PREROUTING',
    rule('', clearMark(ALL_MARKS)),
    ...untracked(tunnelled),
    rule(inInterface(WORKLOADS), setMark(MARK.scratch0)),
    rule(fromWorkload, jump('cali-rpf-skip')),
    // A workload may only send from addresses that are routed to it.
    rule(all(fromWorkload, '-m rpfilter --invert --validmark'), DROP),
    rule(unmarked(MARK.scratch0), jump('cali-from-host-endpoint')),
    rule(isAccepted, ACCEPT),
  ),
  chain(
    'cali-OUTPUT',
    rule('', clearMark(ALL_MARKS)),
    rule('', jump('cali-to-host-endpoint')),
    ...untracked(tunnelled),
    rule(isAccepted, ACCEPT),
  ),
  sourceChain([]),
  chain('cali-from-host-endpoint'),
  chain('cali-to-host-endpoint'),
];

const mangleChains: readonly Chain[] = [
  chain(
    'cali-PREROUTING',
    rule(connection('RELATED,ESTABLISHED'), ACCEPT),
    rule(isAccepted, ACCEPT),
    rule('', jump('cali-from-host-endpoint')),
    rule(isAccepted, ACCEPT, HOST_POLICY_ACCEPTED),
  ),
  chain(
    'cali-POSTROUTING',
    rule(isAccepted, RETURN),
    rule('', clearMark(ALL_MARKS)),
    rule(connection('DNAT'), jump('cali-to-host-endpoint')),
    rule(isAccepted, RETURN, HOST_POLICY_ACCEPTED),
  ),
  chain('cali-from-host-endpoint'),
  chain('cali-to-host-endpoint'),
];

function natChains(
  set: (id: string) => string,
  family: Family,
  tunnelled: Tunnelled,
): readonly Chain[] {
  const leavesThePools = all(
    inSet(set('masq-ipam-pools'), 'src'),
    notInSet(set('network-ip-pools'), 'dst'),
  );
  return [
    chain('cali-PREROUTING', rule('', jump('cali-fip-dnat'))),
    chain('cali-OUTPUT', rule('', jump('cali-fip-dnat'))),
    chain(
      'cali-POSTROUTING',
      rule('', jump('cali-fip-snat')),
      rule('', jump('cali-nat-outgoing')),
      ...devicesOf(family, tunnelled).flatMap((device) => throughTunnel(device, tunnelled)),
    ),
    chain('cali-nat-outgoing', rule(leavesThePools, MASQUERADE)),
    chain('cali-fip-dnat'),
    chain('cali-fip-snat'),
  ];
}

function filterChains(
  set: (id: string) => string,
  family: Family,
  settings: PolicySettings,
  tunnelled: Tunnelled,
): readonly Chain[] {
  return [
    inputChain(set, family, tunnelled),
    chain(
      'cali-FORWARD',
      rule('', clearMark(ALL_MARKS & ~MARK.accept)),
      rule(unmarked(MARK.accept), jump('cali-from-hep-forward')),
      rule(inInterface(WORKLOADS), jump('cali-from-wl-dispatch')),
      rule(outInterface(WORKLOADS), jump('cali-to-wl-dispatch')),
      rule('', jump('cali-to-hep-forward')),
      rule('', jump('cali-cidr-block')),
    ),
    outputChain(set, family, tunnelled),
    chain(
      'cali-wl-to-host',
      ...(family === 6 ? NEIGHBOUR_DISCOVERY : []),
      rule('', jump('cali-from-wl-dispatch')),
      rule('', jump(settings.endpointToHostAction), ['Configured DefaultEndpointToHostAction']),
    ),
    ...['from-host-endpoint', 'to-host-endpoint', 'from-hep-forward', 'to-hep-forward'].map(
      (name) => chain(`cali-${name}`),
    ),
    chain('cali-cidr-block'),
  ];
}

/** ICMPv6 (58) types without which a workload cannot reach its gateway (RFC 4861, RFC 2710). */
export const NEIGHBOUR_DISCOVERY: readonly Rule[] = [130, 131, 132, 133, 135, 136].map((type) =>
  rule(`-p 58 -m icmp6 --icmpv6-type ${type}`, ACCEPT),
);

function inputChain(set: (id: string) => string, family: Family, tunnelled: Tunnelled): Chain {
  return chain(
    'cali-INPUT',
    ...fromTunnels(set, family, tunnelled),
    rule(inInterface(WORKLOADS), goto('cali-wl-to-host')),
    rule(isAccepted, ACCEPT),
    rule('', clearMark(ALL_MARKS)),
    rule('', jump('cali-from-host-endpoint')),
    rule(isAccepted, ACCEPT, HOST_POLICY_ACCEPTED),
  );
}

function outputChain(set: (id: string) => string, family: Family, tunnelled: Tunnelled): Chain {
  return chain(
    'cali-OUTPUT',
    rule(isAccepted, ACCEPT),
    // The host may always reach its own pods: kubelet's probes depend on it.
    rule(outInterface(WORKLOADS), RETURN),
    ...intoTunnels(set, family, tunnelled),
    rule('', clearMark(ALL_MARKS)),
    rule(notConnection('DNAT'), jump('cali-to-host-endpoint')),
    rule(isAccepted, ACCEPT, HOST_POLICY_ACCEPTED),
  );
}
