// A peer as the table knows it: what configuration and the OPENs say of its session.
import type { BgpFilter } from '../../model/bgp-filter.ts';
import type { Asn } from '../../net/asn.ts';
import { type Family, type Ip, valueOfIp } from '../../net/ip.ts';
import type { WireContext } from '../codec/decode-attributes.ts';

/** What configuration says; a `DesiredPeer` is one. */
export interface PeerPolicy {
  readonly address: Ip;
  readonly asn: Asn;
  readonly localAsn: Asn;
  readonly allowLocalAsns: number;
  readonly nextHopMode: 'auto' | 'self' | 'keep';
  readonly reflectorClient: boolean;
  readonly clusterId?: Ip | undefined;
  readonly filters: readonly BgpFilter[];
  readonly maxPrefixes?: number | undefined;
  /** A pod of this node: it leads to itself alone, and nobody else leads to it. */
  readonly workload?: { readonly addresses: readonly Ip[] } | undefined;
  readonly explicitPolicy: boolean;
}

/** What both OPENs agreed, as far as the table is concerned. */
export interface Agreed {
  readonly families: readonly Family[];
  readonly fourOctetAs: boolean;
  readonly extendedMessage: boolean;
  /** IPv4 prefixes may have an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** Families whose UPDATEs carry path identifiers (RFC 7911), by direction. */
  readonly addPathReceive: readonly Family[];
  readonly addPathSend: readonly Family[];
  readonly peerRouterId: Ip;
  /** A refresh has its begin and end marked (RFC 7313). */
  readonly enhancedRefresh?: boolean;
  readonly gracefulRestart?:
    | {
        readonly restartSeconds: number;
        /** It has just restarted itself. */
        readonly restarting?: boolean;
        readonly families: readonly {
          readonly family: Family;
          readonly forwardingPreserved: boolean;
        }[];
      }
    | undefined;
  /** RFC 9494. */
  readonly longLived?:
    | readonly { readonly family: Family; readonly staleSeconds: number }[]
    | undefined;
}

export interface Peer {
  readonly index: number;
  readonly key: string;
  readonly policy: PeerPolicy;
  /** Our address on the session: the next hop that we give. */
  readonly localAddress: Ip;
  readonly agreed: Agreed;
  readonly up: boolean;
  /** Of another AS. */
  readonly external: boolean;
  readonly routerId: number;
  readonly order: bigint;
  readonly context: WireContext;
  /** Stands before the octets of attributes in their key: what they mean depends on it. */
  readonly contextKey: string;
}

/** A peer that announces more paths than this is at fault, whatever its configuration allows. */
export const PATHS_OF_PEER_MAX = 4_000_000;

export const pathsMaxOf = ({ policy: { maxPrefixes = PATHS_OF_PEER_MAX } }: Peer): number =>
  Math.min(maxPrefixes, PATHS_OF_PEER_MAX);

export function peerOf(
  index: number,
  key: string,
  policy: PeerPolicy,
  localAddress: Ip,
  agreed: Agreed,
): Peer {
  const external = policy.asn !== policy.localAsn;
  const { fourOctetAs } = agreed;
  return {
    index,
    key,
    policy,
    localAddress,
    agreed,
    up: true,
    external,
    routerId: Number(valueOfIp(agreed.peerRouterId)),
    order: valueOfIp(policy.address),
    context: { fourOctetAs, external },
    contextKey: `${external ? 'e' : 'i'}${fourOctetAs ? 4 : 2}`,
  };
}

/** This node itself, as the source of its own prefixes. */
export const OWN = 0;
