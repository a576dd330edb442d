// The chains of the nat table: packets that leave the pools get an address that the outside can answer.
import { type Family, familyOf, type Ip } from '../../net/ip.ts';
import type { RuleSettings } from '../read/rule-settings.ts';
import {
  all,
  inSet,
  jump,
  masquerade,
  notInSet,
  outInterface,
  RETURN,
  sourceNat,
} from './fragments.ts';
import type { Chain, Rule } from './rule.ts';
import { devicesOf, type Tunnelled, throughTunnel } from './tunnel-rules.ts';

export interface NatFacts {
  readonly rules: RuleSettings;
  readonly tunnelled: Tunnelled;
  /** Some pool's packets are masqueraded. */
  readonly masquerades: boolean;
}

const chain = (name: string, ...rules: readonly Rule[]): Chain => ({ name, rules });
const rule = (match: string, action: string): Rule => ({ match, action });

/** NAT of packets that leave the pools. */
export function natChains(
  set: (id: string) => string,
  family: Family,
  { rules, tunnelled, masquerades }: NatFacts,
): readonly Chain[] {
  return [
    chain('cali-PREROUTING', rule('', jump('cali-fip-dnat'))),
    chain('cali-OUTPUT', rule('', jump('cali-fip-dnat'))),
    chain(
      'cali-POSTROUTING',
      rule('', jump('cali-fip-snat')),
      rule('', jump('cali-nat-outgoing')),
      ...devicesOf(family, tunnelled).flatMap((device) => throughTunnel(device, tunnelled)),
    ),
    chain('cali-nat-outgoing', ...(masquerades ? natOutgoing(set, family, rules) : [])),
    chain('cali-fip-dnat'),
    chain('cali-fip-snat'),
  ];
}

function natOutgoing(
  set: (id: string) => string,
  family: Family,
  { natPorts, natAddress, natExcludesHosts, natInterface }: RuleSettings,
): readonly Rule[] {
  const address = natAddress && familyOf(natAddress) === family ? natAddress : undefined;
  const translate = (ports?: string): string =>
    address === undefined
      ? masquerade(ports)
      : sourceNat(ports === undefined ? address : `${bracketed(address)}:${ports}`);
  const leaves = (protocol?: string): string =>
    all(
      inSet(set('masq-ipam-pools'), 'src'),
      notInSet(set('network-ip-pools'), 'dst'),
      natExcludesHosts && notInSet(set('all-hosts-net'), 'dst'),
      protocol && `-p ${protocol}`,
      natInterface && outInterface(natInterface),
    );
  const withPorts = ['tcp', 'udp'].flatMap((protocol) => [
    rule(leaves(protocol), translate(natPorts)),
    rule(leaves(protocol), RETURN),
  ]);
  return [...(natPorts === undefined ? [] : withPorts), rule(leaves(), translate())];
}

const bracketed = (address: Ip): string => (familyOf(address) === 6 ? `[${address}]` : address);
