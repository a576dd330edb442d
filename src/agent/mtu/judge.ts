// How large this node's pods may send, and whether what was configured fits through its interfaces.
import type { Link } from '../../kernel/kernel.ts';
import { type Encapsulation, OVERHEAD_BYTES, overheadOf } from '../../model/mtu.ts';
import type { TunnelMtus } from './settings.ts';

export interface HostMtu {
  /** Octets. */
  readonly mtu: number;
  readonly interfaceName: string;
}

/**
 * The smallest of the interfaces that are up and match. None does: that of `otherwise`, which has the node's
 * address; undefined when nothing is known.
 */
export function hostMtuOf(
  links: readonly Link[],
  pattern: RegExp,
  otherwise: number | undefined,
): HostMtu | undefined {
  const up = links.filter((link) => link.up);
  const matching = up.filter(({ name }) => pattern.test(name));
  const chosen = matching.length > 0 ? matching : up.filter(({ index }) => index === otherwise);
  const smallest = chosen.toSorted((a, b) => a.mtu - b.mtu)[0];
  return smallest && { mtu: smallest.mtu, interfaceName: smallest.name };
}

export interface MtuFacts {
  readonly host: HostMtu;
  readonly encapsulations: ReadonlySet<Encapsulation>;
  readonly tunnels: TunnelMtus;
  /** What pods are meant to get; undefined: what fits. */
  readonly asked: number | undefined;
}

export interface MtuVerdict {
  readonly host: HostMtu;
  /** For pods whose network configuration names no MTU. Octets. */
  readonly podMtu: number;
  /** The largest packet that pods' traffic makes between nodes, outer headers and all. Octets. */
  readonly wire: number;
  /** What was configured and does not fit, in words. */
  readonly problem: string | undefined;
}

const NAMES: Readonly<Record<Encapsulation, string>> = {
  ipip: 'IP-in-IP',
  vxlan: 'VXLAN',
  vxlanV6: 'VXLAN over IPv6',
};
const FIELDS: Readonly<Record<Encapsulation, string>> = {
  ipip: 'ipipMTU',
  vxlan: 'vxlanMTU',
  vxlanV6: 'vxlanMTUV6',
};

/** What pods get, and what is wrong. */
export function judge({ host, encapsulations, tunnels, asked }: MtuFacts): MtuVerdict {
  const overhead = overheadOf(encapsulations);
  const room = host.mtu - overhead;
  const set = [...encapsulations].flatMap((each) => tunnels[each] ?? []);
  const podMtu = Math.min(room, asked ?? room, ...set);
  const [broken] = [...encapsulations].filter(
    (each) => (tunnels[each] ?? 0) > host.mtu - OVERHEAD_BYTES[each],
  );
  const wire = Math.min(host.mtu, (asked ?? podMtu) + overhead);
  const verdict = { host, podMtu, wire };
  if (asked !== undefined && asked > room)
    return { ...verdict, problem: askedTooMuch(asked, room, host, encapsulations) };
  return { ...verdict, problem: broken && tunnelTooLarge(broken, tunnels[broken]!, host) };
}

function askedTooMuch(
  asked: number,
  room: number,
  { mtu, interfaceName }: HostMtu,
  encapsulations: ReadonlySet<Encapsulation>,
): string {
  const largest = [...encapsulations].find((each) => mtu - OVERHEAD_BYTES[each] === room);
  const less = largest ? `, less ${mtu - room} of ${NAMES[largest]}` : '';
  return (
    `pods are meant to get an MTU of ${asked}, but ${interfaceName} carries ${mtu}${less}: large packets ` +
    `are lost; set networking.mtu: ${mtu}, or mtuIfacePattern if ${interfaceName} leads to no node`
  );
}

const tunnelTooLarge = (each: Encapsulation, set: number, { mtu, interfaceName }: HostMtu) =>
  `FelixConfiguration ${FIELDS[each]} is ${set}, but ${interfaceName} carries ${mtu}, less ` +
  `${OVERHEAD_BYTES[each]} of ${NAMES[each]}: large packets are lost; set it to ${mtu - OVERHEAD_BYTES[each]}`;
