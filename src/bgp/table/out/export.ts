// What a peer is told of a path: RFC 4271 sections 5.1 and 9.2, reflection (RFC 4456), well-known
// communities (RFC 1997, RFC 8326). Whether the prefix may be told at all is Calico's order: the
// peer's filters, pools whose export is disabled, own prefixes, service ranges, pools, nothing else.
import type { Asn } from '../../../net/asn.ts';
import { type Cidr, cidrFamily } from '../../../net/cidr.ts';
import { type Family, familyOf, type Ip, valueOfIp } from '../../../net/ip.ts';
import type { PathAttributes } from '../../codec/attributes.ts';
import type { Peer } from '../peer.ts';
import { prepend } from '../policy/as-path.ts';
import {
  GRACEFUL_SHUTDOWN,
  LLGR_STALE,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  standard,
  withCommunities,
} from '../policy/communities.ts';
import { type AttributeSet, DEFAULT_LOCAL_PREF } from '../routes/attribute-sets.ts';
import type { Prefixes } from '../routes/prefixes.ts';
import { type Range, rangeOf } from '../routes/words.ts';
import { type Told, toldOf } from './told.ts';

export interface ExportPool {
  readonly cidr: Cidr;
  readonly disabled: boolean;
  readonly disableBgpExport: boolean;
}

/** What is told does not depend on the peer alone. */
export interface ExportSettings {
  /** This node is about to go: every route is marked as the last choice (RFC 8326). */
  readonly shutdown: boolean;
}

/** Who told a path; `own`: this node itself. */
export interface PathSource {
  readonly own: boolean;
  readonly external: boolean;
  readonly client: boolean;
  /** A pod of this node. */
  readonly workload: boolean;
  readonly routerId: Ip;
}

export const sourceOf = (peer: Peer | undefined): PathSource =>
  peer
    ? {
        own: false,
        external: peer.external,
        client: peer.policy.reflectorClient,
        workload: peer.policy.workload !== undefined,
        routerId: peer.agreed.peerRouterId,
      }
    : {
        own: true,
        external: false,
        client: false,
        workload: false,
        routerId: '0.0.0.0' as Ip,
      };

/** Peers of which this text is the same are told the same, but for their own routes. */
export function exportKey(
  { policy, agreed, external, localAddress }: Peer,
  family: Family,
): string {
  const { localAsn, nextHopMode, reflectorClient, clusterId, filters, explicitPolicy } = policy;
  const { fourOctetAs, extendedMessage, extendedNextHop, addPathSend, longLived } = agreed;
  return JSON.stringify([
    [external, localAddress, localAsn, nextHopMode, reflectorClient, clusterId, explicitPolicy],
    [fourOctetAs, extendedMessage, extendedNextHop, addPathSend.includes(family), filters],
    longLived !== undefined,
  ]);
}

/** The path as the peer hears it; undefined: it is not told. */
export function tell(
  set: AttributeSet,
  source: PathSource,
  peer: Peer,
  family: Family,
  settings: ExportSettings,
): Told | undefined {
  if (!mayHear(set.attributes, source, peer)) return undefined;
  const nextHop = nextHopFor(set.nextHop, source, peer);
  const suits = family === familyOf(nextHop) || (family === 4 && peer.agreed.extendedNextHop);
  if (!suits) return undefined;
  const attributes = leaving(reflected(set.attributes, source, peer), peer);
  const last = settings.shutdown ? lastChoice(attributes, peer.external) : attributes;
  return toldOf(last, nextHop, family, peer.agreed.fourOctetAs);
}

function mayHear(attributes: PathAttributes, source: PathSource, peer: Peer): boolean {
  const { communities = [] } = attributes;
  if (communities.includes(NO_ADVERTISE)) return false;
  // RFC 9494 section 4.3: who does not know what it means would prefer it to better ones.
  if (communities.includes(LLGR_STALE) && !peer.agreed.longLived) return false;
  const inside = communities.includes(NO_EXPORT) || communities.includes(NO_EXPORT_SUBCONFED);
  if (peer.external) {
    const { explicitPolicy, filters } = peer.policy;
    return !inside && !(explicitPolicy && filters.length === 0);
  }
  // Told inside the AS, a path is told on inside it by a reflector alone (RFC 4456 section 6).
  return source.own || source.external || reflects(source, peer);
}

const reflects = (source: PathSource, { policy }: Peer): boolean =>
  policy.clusterId !== undefined && (source.client || policy.reflectorClient);

// RFC 4271 section 5.1.3: inside the AS the next hop stays, toward another AS it is us.
function nextHopFor(nextHop: Ip, source: PathSource, { policy, external, localAddress }: Peer): Ip {
  if (source.own || policy.nextHopMode === 'self') return localAddress;
  // A pod is reached through this node alone, inside the AS too.
  return (external || source.workload) && policy.nextHopMode === 'auto' ? localAddress : nextHop;
}

// RFC 4456 section 8.
function reflected(attributes: PathAttributes, source: PathSource, peer: Peer): PathAttributes {
  const { clusterId } = peer.policy;
  const isReflected = !peer.external && !source.own && !source.external;
  if (!isReflected || clusterId === undefined) return attributes;
  const originatorId = attributes.originatorId ?? source.routerId;
  return {
    ...attributes,
    originatorId,
    clusterList: [Number(valueOfIp(clusterId)), ...(attributes.clusterList ?? [])],
  };
}

// RFC 4271 section 5.1.2 to 5.1.5: AS_PATH grows and MED and LOCAL_PREF stay behind at the border.
function leaving(attributes: PathAttributes, { external, policy }: Peer): PathAttributes {
  if (!external) return { ...attributes, localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF };
  const { med: _m, localPref: _l, originatorId: _o, clusterList: _c, ...rest } = attributes;
  return { ...rest, asPath: prepend(policy.localAsn as Asn, attributes.asPath) };
}

const lastChoice = (attributes: PathAttributes, external: boolean): PathAttributes => ({
  ...withCommunities(attributes, [standard(GRACEFUL_SHUTDOWN)]),
  ...(external ? {} : { localPref: 0 }),
});

/** Which prefixes leave this node, whoever listens. */
export class ExportRanges {
  private readonly enabled: readonly Range[];
  private readonly forbidden: readonly Range[];

  constructor(family: Family, pools: readonly ExportPool[], services: readonly Cidr[]) {
    const ours = (prefix: Cidr) => cidrFamily(prefix) === family;
    const ranges = pools.filter(({ cidr }) => ours(cidr));
    this.forbidden = ranges.filter((p) => p.disableBgpExport).map(({ cidr }) => rangeOf(cidr));
    const enabled = ranges.filter((p) => !p.disabled).map(({ cidr }) => cidr);
    this.enabled = [...enabled, ...services.filter(ours)].map(rangeOf);
  }

  includes(prefixes: Prefixes, prefix: number, own: boolean): boolean {
    for (const range of this.forbidden) if (prefixes.isWithin(prefix, range)) return false;
    if (own) return true;
    for (const range of this.enabled) if (prefixes.isWithin(prefix, range)) return true;
    return false;
  }
}
