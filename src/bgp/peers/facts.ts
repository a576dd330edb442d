// What the peers of a node follow from, and what several kinds of peers ask of it.
import type { BgpSettings } from '../../model/bgp-configuration.ts';
import { BGP_PORT, DEFAULT_AS_NUMBER } from '../../model/bgp-configuration.ts';
import type { BgpFilter } from '../../model/bgp-filter.ts';
import type { BgpPeer, SecretKeyRef } from '../../model/bgp-peer.ts';
import type { SessionWishes } from '../../model/reading/bgp-annotations.ts';
import type { Asn } from '../../net/asn.ts';
import { type Cidr, cidrOf, contains } from '../../net/cidr.ts';
import { bitsOf, familyOf, type Ip } from '../../net/ip.ts';
import type { DesiredBfd } from '../peers.ts';
import type { BgpNode } from './node.ts';
import type { BgpWorkload } from './workloads.ts';

export interface PeeringFacts {
  readonly self: BgpNode;
  /** All nodes of the cluster, the own one among them or not. */
  readonly nodes: readonly BgpNode[];
  /** The pods of the own node. */
  readonly workloads: readonly BgpWorkload[];
  readonly pools: readonly { readonly cidr: Cidr }[];
  /** BGPConfiguration `default`. */
  readonly cluster: BgpSettings;
  /** In any order. */
  readonly peers: readonly BgpPeer[];
  /** Those that can be read, by name. */
  readonly filters: ReadonlyMap<string, BgpFilter>;
  /** The text of a Secret's key; undefined when it is not there (yet). */
  readonly secret: (reference: SecretKeyRef) => string | undefined;
}

/** A node's AS number; undefined when it has none of its own and the cluster's is unreadable. */
export const asnOf = (node: BgpNode, cluster: BgpSettings): Asn | undefined =>
  node.asn ??
  (cluster.unreadable.includes('asNumber') ? undefined : (cluster.asn ?? DEFAULT_AS_NUMBER));

export const portOf = (node: BgpNode, cluster: BgpSettings): number =>
  node.listenPort ?? cluster.listenPort ?? BGP_PORT;

/** `10_0_0_1`, `fd00__1`. */
export const dashless = (address: Ip): string => address.replaceAll(/[.:]/g, '_');

/** TCP-MD5 keys have at most 80 octets (Linux' TCP_MD5SIG_MAXKEYLEN). */
const PASSWORD_OCTETS_MAX = 80;

/** The password, undefined where none is asked for, or why the session must not be made. */
export function passwordOf(
  reference: SecretKeyRef | undefined,
  secret: PeeringFacts['secret'],
): { readonly password: string | undefined } | { readonly problem: string } {
  if (!reference) return { password: undefined };
  const password = secret(reference);
  const named = `Secret ${reference.name} key ${reference.key}`;
  if (!password) return { problem: `${named} is not there: no session without its password` };
  if (new TextEncoder().encode(password).length > PASSWORD_OCTETS_MAX)
    return { problem: `${named} is longer than ${PASSWORD_OCTETS_MAX} octets` };
  return { password };
}

/**
 * How long nodes keep what another one told before it went, as a last choice: what a reflector told
 * leads through others, who live on when all reflectors are gone (RFC 9494).
 */
const LONG_LIVED_SECONDS = 86_400;

export interface Between {
  readonly multihop: boolean;
  /** Two nodes of one cluster and AS; whether one of them reflects must not end the session. */
  readonly kin?: boolean | undefined;
}

/** The part of a session that annotations decide. */
export function wished(wishes: SessionWishes, { multihop, kin }: Between) {
  const { bfd, holdTimeSeconds, longLivedSeconds, maxPrefixes } = wishes;
  return {
    bfd: bfd === undefined || bfd === 'off' ? undefined : ({ multihop, ...bfd } as DesiredBfd),
    holdTimeSeconds,
    longLivedSeconds: longLivedSeconds ?? (kin ? LONG_LIVED_SECONDS : undefined),
    maxPrefixes,
    explicitPolicy: wishes.explicitPolicy ?? false,
    addPath: wishes.addPath ?? true,
  };
}

/** Whether a router lies between the node and the address, as far as its own address tells. */
export function isBeyondSubnet(self: BgpNode, address: Ip): boolean {
  const family = familyOf(address);
  const own = family === 4 ? self.ipv4 : self.ipv6;
  if (!own || own.prefixLength === bitsOf(family)) return true;
  return !contains(cidrOf(own.ip, own.prefixLength), address);
}
