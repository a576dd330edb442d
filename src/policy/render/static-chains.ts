// The chains that are always there: entries from the kernel's hooks, the way to the endpoint
// chains, NAT for packets that leave the pool, and empty chains where host endpoint policy will
// hang. Order inside a chain is meaning; it follows Felix rule by rule.
import type { TableName } from '../../kernel/tables.ts';
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import { ALL_MARKS, MARK } from '../mark-bits.ts';
import type { FelixSettings } from '../read/resources.ts';
import type { RuleSettings } from '../read/rule-settings.ts';
import {
  ACCEPT,
  all,
  clearMark,
  connection,
  DROP,
  goto,
  inInterface,
  inSet,
  jump,
  marked,
  notConnection,
  notInSet,
  outInterface,
  RETURN,
  setMark,
  unmarked,
  verdictsOf,
} from './fragments.ts';
import { setName } from './names.ts';
import { natChains } from './nat-chains.ts';
import type { Chain, Rule } from './rule.ts';
import { fromTunnels, intoTunnels, type Tunnelled, untracked } from './tunnel-rules.ts';

/** What the operator may choose. */
export interface PolicySettings {
  /** What a workload's packet to its own host meets, unless FelixConfiguration says otherwise. */
  readonly endpointToHostAction: RuleSettings['endpointToHostAction'];
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

const HOST_POLICY_ACCEPTED = ['Host endpoint policy accepted packet.'];

const chain = (name: string, ...rules: readonly Rule[]): Chain => ({ name, rules });
const rule = (match: string, action: string, comments: readonly string[] = []): Rule => ({
  match,
  action,
  comments,
});
const isAccepted = marked(MARK.accept);

/** The table's hooks, as they stand with `insertMode` insert. */
export function hooksOf(table: TableName, rules: RuleSettings): Hooks {
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
      return { inserts: jumps('INPUT', 'FORWARD', 'OUTPUT'), appends: forwardAppends(rules) };
  }
}

const forwardAppends = (rules: RuleSettings): Hooks['appends'] =>
  new Map([
    [
      'FORWARD',
      [
        rule(isAccepted, verdictsOf(rules, 'filter').allow, ['Policy explicitly accepted packet.']),
        rule('', setMark(MARK.accept)),
      ],
    ],
  ]);

/** What fixed chains depend on. */
export interface FixedFacts {
  readonly rules: RuleSettings;
  /** What carries packets of the family between nodes. */
  readonly tunnelled: Tunnelled;
  /** Some pool's packets are masqueraded outside. */
  readonly masquerades: boolean;
  /** Addresses of services. */
  readonly services: readonly Cidr[];
  /** Packets of some endpoint get a DSCP when they leave the cluster. */
  readonly marksDscp: boolean;
}

/** The table's fixed chains. */
export function staticChains(
  table: TableName,
  family: Family,
  facts: FixedFacts,
): readonly Chain[] {
  const set = (id: string): string => setName(family, id);
  switch (table) {
    case 'raw':
      return rawChains(facts);
    case 'mangle':
      return mangleChains(set, facts);
    case 'nat':
      return natChains(set, family, facts);
    case 'filter':
      return filterChains(set, family, facts);
  }
}

const fromWorkloads = ({ interfacePrefixes }: RuleSettings): readonly string[] =>
  interfacePrefixes.map((prefix) => inInterface(`${prefix}+`));
const toWorkloads = ({ interfacePrefixes }: RuleSettings): readonly string[] =>
  interfacePrefixes.map((prefix) => outInterface(`${prefix}+`));

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

const rawChains = ({ rules, tunnelled }: FixedFacts): readonly Chain[] => [
  chain(
    'cali-PREROUTING',
    rule('', clearMark(ALL_MARKS)),
    ...untracked(tunnelled),
    ...fromWorkloads(rules).map((match) => rule(match, setMark(MARK.scratch0))),
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

function mangleChains(set: SetNames, { rules, marksDscp }: FixedFacts): readonly Chain[] {
  const { allow } = verdictsOf(rules, 'mangle');
  return [
    chain(
      'cali-PREROUTING',
      rule(connection('RELATED,ESTABLISHED'), allow),
      rule(isAccepted, allow),
      rule('', jump('cali-from-host-endpoint')),
      rule(isAccepted, allow, HOST_POLICY_ACCEPTED),
    ),
    chain(
      'cali-POSTROUTING',
      ...(marksDscp ? [toDscp(set)] : []),
      rule(isAccepted, RETURN),
      rule('', clearMark(ALL_MARKS)),
      rule(connection('DNAT'), jump('cali-to-host-endpoint')),
      rule(isAccepted, RETURN, HOST_POLICY_ACCEPTED),
    ),
    chain('cali-from-host-endpoint'),
    chain('cali-to-host-endpoint'),
    ...(marksDscp ? [dscpChain([])] : []),
  ];
}

/** Addresses of the endpoints whose packets get a DSCP. */
export const DSCP_SET = 'dscp-src-net';

const toDscp = (set: SetNames): Rule =>
  rule(
    all(
      inSet(set(DSCP_SET), 'src'),
      notInSet(set('network-ip-pools'), 'dst'),
      notInSet(set('this-host'), 'dst'),
    ),
    jump('cali-egress-dscp'),
    ['set dscp for traffic leaving cluster.'],
  );

/** Each address with its six bits. */
export const dscpChain = (marks: readonly (readonly [source: Ip, value: number])[]): Chain =>
  chain(
    'cali-egress-dscp',
    ...marks.map(([source, value]) =>
      rule(`--source ${source}`, `--jump DSCP --set-dscp ${value}`),
    ),
  );

function filterChains(
  set: (id: string) => string,
  family: Family,
  facts: FixedFacts,
): readonly Chain[] {
  const { rules, services } = facts;
  const { allow } = verdictsOf(rules, 'filter');
  const { loopPrevention } = rules;
  const blocked = services.filter((net) => loopPrevention && cidrFamily(net) === family);
  return [
    inputChain(set, family, facts),
    chain(
      'cali-FORWARD',
      rule('', clearMark(ALL_MARKS & ~MARK.accept)),
      rule(unmarked(MARK.accept), jump('cali-from-hep-forward')),
      ...rules.interfacePrefixes.flatMap((prefix) => [
        rule(inInterface(`${prefix}+`), jump('cali-from-wl-dispatch')),
        rule(outInterface(`${prefix}+`), jump('cali-to-wl-dispatch')),
      ]),
      rule('', jump('cali-to-hep-forward')),
      rule('', jump('cali-cidr-block')),
    ),
    outputChain(set, family, facts),
    chain(
      'cali-wl-to-host',
      ...(family === 6 ? neighbourDiscovery(allow) : []),
      rule('', jump('cali-from-wl-dispatch')),
      rule('', jump(rules.endpointToHostAction), ['Configured DefaultEndpointToHostAction']),
    ),
    ...['from-host-endpoint', 'to-host-endpoint', 'from-hep-forward', 'to-hep-forward'].map(
      (name) => chain(`cali-${name}`),
    ),
    chain(
      'cali-cidr-block',
      ...blocked.map((net) => rule(`--destination ${net}`, jump(loopPrevention!))),
    ),
  ];
}

/** ICMPv6 (58) types without which a workload cannot reach its gateway (RFC 4861, RFC 2710). */
export const neighbourDiscovery = (allow: string): readonly Rule[] =>
  [130, 131, 132, 133, 135, 136].map((type) => rule(`-p 58 -m icmp6 --icmpv6-type ${type}`, allow));

type SetNames = (id: string) => string;

function inputChain(set: SetNames, family: Family, { rules, tunnelled }: FixedFacts): Chain {
  const verdicts = verdictsOf(rules, 'filter');
  const { allow } = verdicts;
  return chain(
    'cali-INPUT',
    ...fromTunnels(set, family, tunnelled, verdicts),
    ...fromWorkloads(rules).map((match) => rule(match, goto('cali-wl-to-host'))),
    rule(isAccepted, allow),
    rule('', clearMark(ALL_MARKS)),
    rule('', jump('cali-from-host-endpoint')),
    rule(isAccepted, allow, HOST_POLICY_ACCEPTED),
  );
}

function outputChain(set: SetNames, family: Family, { rules, tunnelled }: FixedFacts): Chain {
  const { allow } = verdictsOf(rules, 'filter');
  return chain(
    'cali-OUTPUT',
    rule(isAccepted, allow),
    // The host may always reach its own pods: kubelet's probes depend on it.
    ...toWorkloads(rules).map((match) => rule(match, RETURN)),
    ...intoTunnels(set, family, tunnelled, allow),
    rule('', clearMark(ALL_MARKS)),
    rule(notConnection('DNAT'), jump('cali-to-host-endpoint')),
    rule(isAccepted, allow, HOST_POLICY_ACCEPTED),
  );
}
