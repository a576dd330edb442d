// One session as /status tells it.
import { type DesiredPeer, endpointOf } from '../../bgp/peers.ts';
import type { BfdStatus, PeerReport, PeerType } from '../../bgp/status.ts';
import type { Table } from '../../bgp/table/table.ts';
import type { BfdReport } from '../bfd/bfd.io.ts';
import type { PeerStatus } from '../parts.ts';

const TYPES: Readonly<Record<DesiredPeer['kind'], PeerType>> = {
  mesh: 'node-to-node mesh',
  node: 'node specific',
  global: 'global',
  workload: 'local workload',
};

export function peerReport(
  { peer, state, since, lastError, flaps, received, sent }: PeerStatus,
  table: Pick<Table, 'countOf' | 'toldTo'>,
  bfd: BfdReport | undefined,
): PeerReport {
  const { name, kind, node, workload, address, port, family, asn, localAsn, passive } = peer;
  return {
    name,
    type: TYPES[kind],
    ...(node === undefined ? {} : { node }),
    ...(workload === undefined ? {} : { workload: workload.name }),
    address,
    port,
    family,
    asn,
    localAsn,
    passive,
    state,
    since: since.toISOString(),
    ...(lastError === undefined ? {} : { lastError }),
    flaps,
    messages: { received, sent },
    ...(bfd === undefined ? {} : { bfd: bfdStatus(bfd) }),
    prefixesIn: table.countOf(endpointOf(peer)),
    prefixesOut: table.toldTo(endpointOf(peer)),
  };
}

const bfdStatus = ({ state, since, cause, failures }: BfdReport): BfdStatus => ({
  state,
  since: since.toISOString(),
  ...(cause === undefined ? {} : { cause }),
  failures,
});
