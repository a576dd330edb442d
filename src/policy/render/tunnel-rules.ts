// Rules for packets that travel between nodes inside others: let in from nodes alone, let out to them,
// untracked and with the right source. Felix's, rule for rule.
import { TUNNEL_DEVICES } from '../../model/tunnel.ts';
import type { Family } from '../../net/ip.ts';
import { all, inSet, masquerade, NOTRACK, outInterface, type Verdicts } from './fragments.ts';
import type { Rule } from './rule.ts';

/** What carries packets of a family between nodes. */
export interface Tunnelled {
  readonly ipip: boolean;
  /** Undefined: no VXLAN. */
  readonly vxlanPort: number | undefined;
}

const PORT_MAX = 65535;

const rule = (match: string, action: string, comments: readonly string[] = []): Rule => ({
  match,
  action,
  comments,
});

// The two directions have different source ports: to conntrack no packet would ever be answered.
export const untracked = ({ vxlanPort }: Tunnelled): readonly Rule[] =>
  vxlanPort === undefined ? [] : [rule(`-p udp --dport ${vxlanPort}`, NOTRACK)];

// The host's own packets into a tunnel must carry the tunnel's address.
export function throughTunnel(device: string, { vxlanPort }: Tunnelled): readonly Rule[] {
  const match = all(
    outInterface(device),
    '-m addrtype ! --src-type LOCAL --limit-iface-out',
    '-m addrtype --src-type LOCAL',
  );
  const translated = rule(match, masquerade());
  // Answers to a source port that is VXLAN's would not be tracked, therefore not translated back.
  if (vxlanPort === undefined) return [translated];
  const [least, most] =
    vxlanPort < PORT_MAX / 2 ? [vxlanPort + 1, PORT_MAX] : [1024, vxlanPort - 1];
  return [rule(all('-p udp', match), masquerade(`${least}-${most}`)), translated];
}

export const devicesOf = (family: Family, { ipip, vxlanPort }: Tunnelled): readonly string[] => [
  ...(ipip ? [TUNNEL_DEVICES.ipip] : []),
  ...(vxlanPort === undefined
    ? []
    : [family === 4 ? TUNNEL_DEVICES.vxlan : TUNNEL_DEVICES.vxlanV6]),
];

const toVxlan = (port: number | undefined): string =>
  `-p 17 -m multiport --destination-ports ${port}`;

/** Of cali-INPUT. */
export function fromTunnels(
  set: (id: string) => string,
  family: Family,
  { ipip, vxlanPort }: Tunnelled,
  { allow, deny, denyWord }: Verdicts,
): readonly Rule[] {
  const toHost = '-m addrtype --dst-type LOCAL';
  const ofIpip = [
    rule(all('-p 4', inSet(set('all-hosts-net'), 'src'), toHost), allow, [
      'Allow IPIP packets from Calico hosts',
    ]),
    rule('-p 4', deny, [`${denyWord} IPIP packets from non-Calico hosts`]),
  ];
  const vxlan = toVxlan(vxlanPort);
  const ofVxlan = [
    rule(all(vxlan, inSet(set('all-vxlan-net'), 'src'), toHost), allow, [
      `Allow IPv${family} VXLAN packets from allowed hosts`,
    ]),
    rule(all(vxlan, toHost), deny, [
      `${denyWord} IPv${family} VXLAN packets from non-allowed hosts`,
    ]),
  ];
  return [...(ipip ? ofIpip : []), ...(vxlanPort === undefined ? [] : ofVxlan)];
}

/** Of cali-OUTPUT. */
export function intoTunnels(
  set: (id: string) => string,
  family: Family,
  { ipip, vxlanPort }: Tunnelled,
  allow: string,
): readonly Rule[] {
  const fromHost = '-m addrtype --src-type LOCAL';
  const ofIpip = rule(all('-p 4', inSet(set('all-hosts-net'), 'dst'), fromHost), allow, [
    'Allow IPIP packets to other Calico hosts',
  ]);
  const ofVxlan = rule(
    all(toVxlan(vxlanPort), fromHost, inSet(set('all-vxlan-net'), 'dst')),
    allow,
    [`Allow IPv${family} VXLAN packets to other allowed hosts`],
  );
  return [...(ipip ? [ofIpip] : []), ...(vxlanPort === undefined ? [] : [ofVxlan])];
}
