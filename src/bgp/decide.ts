// The choice of one path among several to the same prefix (RFC 4271 section 9.1.2.2). Each step
// removes the paths that lose it, so that the outcome never depends on the order of arrival.

import type { Asn } from '../net/asn.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Ip, valueOfIp } from '../net/ip.ts';
import { ORIGINS, type PathAttributes } from './codec/attributes.ts';
import { lengthOfAsPath } from './codec/update.ts';

/** A prefix as one peer announced it. */
export interface Path {
  readonly prefix: Cidr;
  readonly nextHop: Ip;
  readonly attributes: PathAttributes;
  /** The peer's address. */
  readonly from: Ip;
  /** Learned from another AS. */
  readonly external: boolean;
  /** The peer's BGP identifier. */
  readonly routerId: Ip;
}

/** Counts for paths that carry none, those of external peers included. */
export const DEFAULT_LOCAL_PREF = 100;

/** The best path; undefined when there is none. */
export function bestPath(paths: readonly Path[]): Path | undefined {
  if (paths.length < 2) return paths[0];
  const steps: ((path: Path) => number | bigint)[] = [
    ({ attributes }) => -(attributes.localPref ?? DEFAULT_LOCAL_PREF),
    ({ attributes }) => lengthOfAsPath(attributes.asPath),
    ({ attributes }) => ORIGINS.indexOf(attributes.origin),
  ];
  const tieBreaks: ((path: Path) => number | bigint)[] = [
    ({ external }) => (external ? 0 : 1),
    ({ attributes, routerId }) => valueOfIp(attributes.originatorId ?? routerId),
    // RFC 4456 section 9: the shorter CLUSTER_LIST, then the lower peer address.
    ({ attributes }) => attributes.clusterList?.length ?? 0,
    ({ from }) => valueOfIp(from),
  ];
  const equal = steps.reduce(lowest, paths);
  return tieBreaks.reduce(lowest, withoutWorseMed(equal))[0];
}

function lowest(paths: readonly Path[], rank: (path: Path) => number | bigint): readonly Path[] {
  const ranks = paths.map(rank);
  return paths.filter((_, i) => ranks.every((other) => ranks[i]! <= other));
}

// MED compares only paths through the same neighbouring AS; a missing one counts as 0.
function withoutWorseMed(paths: readonly Path[]): readonly Path[] {
  const med = (path: Path): number => path.attributes.med ?? 0;
  return paths.filter((path) => {
    const rivals = paths.filter((other) => neighbourAs(other) === neighbourAs(path));
    return rivals.every((rival) => med(rival) >= med(path));
  });
}

function neighbourAs({ attributes }: Path): Asn | undefined {
  const first = attributes.asPath[0];
  return first?.kind === 'sequence' ? first.asns[0] : undefined;
}
