// Why a path is the best one, for people.
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import type { PathAttributes } from '../codec/attributes.ts';
import { OWN } from './peer.ts';
import { decide, type Step } from './routes/decide.ts';
import type { Rib } from './routes/rib.ts';

export interface PathReport {
  /** Undefined: this node answers for the prefix itself. */
  readonly peer: string | undefined;
  readonly pathId: number;
  readonly nextHop: Ip;
  readonly attributes: PathAttributes;
  /** The peer is away, and the path is kept for its return. */
  readonly stale: boolean;
  /** Shares the traffic with the best path. */
  readonly equal: boolean;
  /** The step at which it lost; undefined: it is the best. */
  readonly lost: Step | 'not accepted' | undefined;
  /** Why it is not accepted. */
  readonly refusal?: string | undefined;
}

/** What is known of peers by their numbers. */
export interface Peers {
  keyAt(index: number): string;
  /** Why import makes nothing of a path; undefined: it does. */
  refusal(rib: Rib, path: number): string | undefined;
}

export function explain(
  ribs: Readonly<Record<Family, Rib>>,
  prefix: Cidr,
  peers: Peers,
): readonly PathReport[] {
  const rib = ribs[cidrFamily(prefix)];
  const id = rib.prefixes.findCidr(prefix);
  if (id < 0) return [];
  const lost = new Map<string, Step>();
  const nameOf = (peer: number, pathId: number) => `${peer} ${pathId}`;
  const candidates = rib.candidates(id);
  const decision =
    candidates.length > 0
      ? decide(candidates, ({ peer, pathId }, step) => lost.set(nameOf(peer, pathId), step))
      : undefined;
  const equal = new Set(decision?.equal.map(({ peer, pathId }) => nameOf(peer, pathId)));
  const reports: PathReport[] = [];
  const { paths } = rib;
  for (let path = paths.headOf(id); path >= 0; path = paths.next(path)) {
    if (rib.isVoid(path)) continue;
    const [peer, pathId] = [paths.peer[path]!, paths.pathId[path]!];
    const accepted = rib.counts(path);
    const set = rib.sets.at(accepted ? paths.used[path]! : paths.raw[path]!);
    const name = nameOf(peer, pathId);
    reports.push({
      peer: peer === OWN ? undefined : peers.keyAt(peer),
      pathId,
      nextHop: set.nextHop,
      attributes: set.attributes,
      stale: rib.isStale(path),
      equal: accepted && equal.has(name),
      lost: accepted ? lost.get(name) : 'not accepted',
      ...(accepted ? {} : { refusal: peers.refusal(rib, path) }),
    });
  }
  return reports.sort(
    (a, b) => Number(a.lost !== undefined) - Number(b.lost !== undefined) || order(a, b),
  );
}

const order = (a: PathReport, b: PathReport): number =>
  (a.peer ?? '') < (b.peer ?? '') ? -1 : (a.peer ?? '') > (b.peer ?? '') ? 1 : a.pathId - b.pathId;
