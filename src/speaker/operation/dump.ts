// The routing table as an MRT dump (RFC 6396): every path that is held, record by record.
import { encodePeerIndexTable, encodeRib, type MrtPeer } from '../../bgp/mrt/mrt.ts';
import { endpointOf } from '../../bgp/peers.ts';
import type { Table } from '../../bgp/table/table.ts';
import type { Ip } from '../../net/ip.ts';
import type { PeerStatus } from '../parts.ts';

export interface DumpFacts {
  readonly table: Pick<Table, 'why' | 'prefixes' | 'routerIdOf'>;
  readonly peers: readonly PeerStatus[];
  readonly node: string;
  readonly routerId: Ip;
  readonly now: Date;
  readonly startedAt: Date;
}

const secondsOf = (date: Date): number => Math.floor(date.getTime() / 1000);

/** Stands for this node as the source of its own routes, as BIRD has it. */
const SELF: MrtPeer = { routerId: '0.0.0.0' as Ip, address: '0.0.0.0' as Ip, asn: 0 };

/**
 * `since` of a path is when its session came up; of an own one, when the speaker started. A peer that
 * is away has the router id 0.0.0.0, and its kept paths are there.
 */
export function* dumpOf(facts: DumpFacts): Generator<Uint8Array> {
  const { table, peers, node, routerId } = facts;
  const time = secondsOf(facts.now);
  const index = new Map(peers.map(({ peer, since }, i) => [endpointOf(peer), { i: i + 1, since }]));
  yield encodePeerIndexTable(time, routerId, node, [
    SELF,
    ...peers.map(({ peer }) => ({
      routerId: table.routerIdOf(endpointOf(peer)) ?? SELF.routerId,
      address: peer.address,
      asn: peer.asn,
    })),
  ]);
  let sequence = 0;
  for (const prefix of table.prefixes()) {
    const paths = table.why(prefix).map(({ peer, pathId, attributes, nextHop }) => {
      const known = peer === undefined ? undefined : index.get(peer);
      const since = secondsOf(known?.since ?? facts.startedAt);
      return { peer: known?.i ?? 0, pathId, since, attributes, nextHop };
    });
    if (paths.length > 0) yield encodeRib(time, sequence++, prefix, paths);
  }
}
