// The choice among several paths to the same prefix (RFC 4271 section 9.1.2.2, RFC 4456 section 9,
// RFC 9494 section 4.3). Each step removes the paths that lose it, so that the outcome never
// depends on the order of arrival. Paths that are equal up to the tie-breaks share the traffic.
import type { Ip } from '../../../net/ip.ts';
import type { Peer } from '../peer.ts';
import type { AttributeSet } from './attribute-sets.ts';

/** A path as the decision sees it. */
export interface Candidate {
  /** Number of the peer. */
  readonly peer: number;
  readonly set: AttributeSet;
  /** LOCAL_PREF, Calico's priorities brought to the same scale. */
  readonly preference: number;
  /** This node answers for the prefix itself. */
  readonly own: boolean;
  /** There is a way to the next hop, or nobody knows. */
  readonly hasWay: boolean;
  /** Learned from another AS. */
  readonly external: boolean;
  /** The peer's BGP identifier. */
  readonly routerId: number;
  /** The peer's address. */
  readonly address: bigint;
  readonly pathId: number;
}

/** What the decision knows from others. */
export interface Surroundings {
  readonly peerAt: (index: number) => Peer | undefined;
  /** Whether there is a way to a next hop. */
  readonly hasWay: (nextHop: Ip) => boolean;
}

/** The step that a path lost. */
export type Step = (typeof STEPS)[number]['name'] | (typeof TIE_BREAKS)[number]['name'] | 'MED';

interface Rank {
  readonly name: string;
  /** The lowest stays. */
  readonly rank: (candidate: Candidate) => number | bigint;
}

const STEPS = [
  { name: 'own prefix', rank: ({ own }) => (own ? 0 : 1) },
  { name: 'next hop without a way', rank: ({ hasWay }) => (hasWay ? 0 : 1) },
  { name: 'long-lived stale', rank: ({ set }) => (set.llgrStale ? 1 : 0) },
  { name: 'LOCAL_PREF', rank: ({ preference }) => -preference },
  { name: 'AS_PATH length', rank: ({ set }) => set.asPathLength },
  { name: 'ORIGIN', rank: ({ set }) => set.origin },
] as const satisfies readonly Rank[];
const EXTERNAL: Rank = { name: 'external', rank: ({ external }) => (external ? 0 : 1) };
const TIE_BREAKS = [
  EXTERNAL as Rank & { readonly name: 'external' },
  { name: 'identifier', rank: ({ set, routerId }) => set.originator ?? routerId },
  { name: 'CLUSTER_LIST length', rank: ({ set }) => set.clusterLength },
  { name: 'peer address', rank: ({ address }) => address },
  { name: 'path identifier', rank: ({ pathId }) => pathId },
] as const satisfies readonly Rank[];

export interface Decision {
  readonly best: Candidate;
  /** The best one and those that only the tie-breaks put behind it. */
  readonly equal: readonly Candidate[];
}

/** At least one path; `lost` hears of each path that falls, and at which step. */
export function decide(
  candidates: readonly Candidate[],
  lost?: (candidate: Candidate, step: Step) => void,
): Decision {
  if (candidates.length === 1) return { best: candidates[0]!, equal: candidates };
  let left = candidates;
  for (const step of STEPS) left = keep(left, step, lost);
  if (left.length > 1) left = withoutWorseMed(left, lost);
  const equal = keep(left, EXTERNAL);
  for (const step of TIE_BREAKS) left = keep(left, step, lost);
  return { best: left[0]!, equal };
}

function keep<S extends Rank>(
  candidates: readonly Candidate[],
  { name, rank }: S,
  lost?: (candidate: Candidate, step: Step) => void,
): readonly Candidate[] {
  if (candidates.length === 1) return candidates;
  let lowest = rank(candidates[0]!);
  let differ = false;
  for (const candidate of candidates) {
    const value = rank(candidate);
    if (value === lowest) continue;
    differ = true;
    if (value < lowest) lowest = value;
  }
  if (!differ) return candidates;
  return candidates.filter((candidate) => {
    const stays = rank(candidate) === lowest;
    if (!stays) lost?.(candidate, name as Step);
    return stays;
  });
}

// MED compares only paths through the same neighbouring AS; a missing one counts as 0.
function withoutWorseMed(
  candidates: readonly Candidate[],
  lost?: (candidate: Candidate, step: Step) => void,
): readonly Candidate[] {
  const lowest = new Map<number, number>();
  for (const { set } of candidates)
    lowest.set(set.neighbourAs, Math.min(set.med, lowest.get(set.neighbourAs) ?? set.med));
  return candidates.filter((candidate) => {
    const stays = candidate.set.med === lowest.get(candidate.set.neighbourAs);
    if (!stays) lost?.(candidate, 'MED');
    return stays;
  });
}

/** Next hops of equal paths, the best one's first. */
export function hopsOf(best: Candidate, equal: readonly Candidate[]): readonly Ip[] {
  const first = best.set.nextHop;
  const others = new Set(equal.map(({ set }) => set.nextHop));
  others.delete(first);
  return [first, ...[...others].sort()];
}
