// The table as a model that nobody could get wrong: everything is derived anew from what each peer
// has said. For the property test, which compares the real one with it.
import type { Asn } from '../../net/asn.ts';
import { type Cidr, cidrFamily, containsCidr } from '../../net/cidr.ts';
import { type Ip, valueOfIp } from '../../net/ip.ts';
import {
  type AsSegment,
  encodeAttributes,
  ORIGINS,
  type PathAttributes,
} from '../codec/attributes.ts';
import { lengthOfAsPath } from '../codec/update.ts';

export interface ReferencePeer {
  readonly address: Ip;
  readonly routerId: Ip;
  readonly asn: Asn;
  readonly localAsn: Asn;
  readonly localAddress: Ip;
  readonly reflectorClient: boolean;
  readonly clusterId?: Ip;
  readonly allowLocalAsns: number;
  readonly addPath: boolean;
}

export interface Path {
  readonly prefix: Cidr;
  readonly nextHop: Ip;
  readonly attributes: PathAttributes;
  readonly from: ReferencePeer;
  readonly pathId: number;
}

export interface ReferencePool {
  readonly cidr: Cidr;
  readonly disabled: boolean;
  readonly disableBgpExport: boolean;
}

export const isExternal = ({ asn, localAsn }: ReferencePeer): boolean => asn !== localAsn;

/** What import leaves of a path. */
export function accepted(own: { asn: Asn; routerId: Ip; addresses: readonly Ip[] }, path: Path) {
  const { attributes, from, nextHop } = path;
  const times = attributes.asPath.flatMap((s) => s.asns).filter((a) => a === own.asn).length;
  if (times > from.allowLocalAsns) return undefined;
  if (attributes.originatorId === own.routerId || own.addresses.includes(nextHop)) return undefined;
  if (from.clusterId && attributes.clusterList?.includes(Number(valueOfIp(from.clusterId))))
    return undefined;
  const shutdown = attributes.communities?.includes(0xffff0000);
  return shutdown ? { ...path, attributes: { ...attributes, localPref: 0 } } : path;
}

const STEPS: ((path: Path) => number | bigint)[] = [
  ({ attributes }) => (attributes.communities?.includes(0xffff0006) ? 1 : 0),
  ({ attributes }) => -(attributes.localPref ?? 100),
  ({ attributes }) => lengthOfAsPath(attributes.asPath),
  ({ attributes }) => ORIGINS.indexOf(attributes.origin),
];
const TIE_BREAKS: ((path: Path) => number | bigint)[] = [
  ({ attributes, from }) => valueOfIp(attributes.originatorId ?? from.routerId),
  ({ attributes }) => attributes.clusterList?.length ?? 0,
  ({ from }) => valueOfIp(from.address),
  ({ pathId }) => pathId,
];

/** Paths that share the traffic, and the best one of them. */
export function choose(paths: readonly Path[]): { equal: readonly Path[]; best: Path | undefined } {
  const left = withoutWorseMed(STEPS.reduce(lowest, paths));
  const equal = lowest(left, ({ from }) => (isExternal(from) ? 0 : 1));
  return { equal, best: TIE_BREAKS.reduce(lowest, equal)[0] };
}

function lowest(paths: readonly Path[], rank: (path: Path) => number | bigint): readonly Path[] {
  const ranks = paths.map(rank);
  return paths.filter((_, i) => ranks.every((other) => ranks[i]! <= other));
}

function withoutWorseMed(paths: readonly Path[]): readonly Path[] {
  const neighbour = ({ attributes: { asPath } }: Path) =>
    asPath[0]?.kind === 'sequence' ? asPath[0].asns[0] : 0;
  const med = ({ attributes }: Path) => attributes.med ?? 0;
  return paths.filter((path) =>
    paths.every((other) => neighbour(other) !== neighbour(path) || med(other) >= med(path)),
  );
}

/** What a peer should know of a path, as text; undefined: nothing. */
export function words(
  to: ReferencePeer,
  path: Path | { readonly prefix: Cidr },
  pools: readonly ReferencePool[],
  shutdown: boolean,
): string | undefined {
  const { prefix } = path;
  const within = (pool: ReferencePool) => containsCidr(pool.cidr, prefix);
  if (pools.some((pool) => pool.disableBgpExport && within(pool))) return undefined;
  const own = !('from' in path);
  if (!own && !pools.some((pool) => !pool.disabled && within(pool))) return undefined;
  if (cidrFamily(prefix) !== 4) return undefined;
  const attributes: PathAttributes = own ? { origin: 'igp', asPath: [] } : path.attributes;
  const told = leaving(attributes, own ? undefined : path.from, to, shutdown);
  if (!told) return undefined;
  const nextHop = own || isExternal(to) ? to.localAddress : path.nextHop;
  return `${nextHop} ${encodeAttributes(told, undefined, true)}`;
}

function leaving(
  attributes: PathAttributes,
  from: ReferencePeer | undefined,
  to: ReferencePeer,
  shutdown: boolean,
): PathAttributes | undefined {
  const { communities = [] } = attributes;
  if (from?.address === to.address || communities.includes(0xffffff02)) return undefined;
  // Of these peers none knows long-lived routes.
  if (communities.includes(0xffff0006)) return undefined;
  const marked = shutdown && !communities.includes(0xffff0000);
  const all = marked ? { communities: [...communities, 0xffff0000] } : {};
  if (isExternal(to)) {
    if (communities.includes(0xffffff01) || communities.includes(0xffffff03)) return undefined;
    const { med: _m, localPref: _l, originatorId: _o, clusterList: _c, ...rest } = attributes;
    return { ...rest, ...all, asPath: prepend(to.localAsn, attributes.asPath) };
  }
  const localPref = shutdown ? 0 : (attributes.localPref ?? 100);
  if (!from || isExternal(from)) return { ...attributes, ...all, localPref };
  if (!to.clusterId || !(from.reflectorClient || to.reflectorClient)) return undefined;
  const originatorId = attributes.originatorId ?? from.routerId;
  const clusterList = [Number(valueOfIp(to.clusterId)), ...(attributes.clusterList ?? [])];
  return { ...attributes, ...all, localPref, originatorId, clusterList };
}

function prepend(asn: Asn, path: readonly AsSegment[]): readonly AsSegment[] {
  const [first, ...rest] = path;
  return first?.kind === 'sequence' && first.asns.length < 255
    ? [{ kind: 'sequence', asns: [asn, ...first.asns] }, ...rest]
    : [{ kind: 'sequence', asns: [asn] }, ...path];
}
