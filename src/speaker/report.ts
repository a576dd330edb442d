// One session as /status tells it.
import type { DesiredPeer } from '../bgp/peers.ts';
import type { Rib } from '../bgp/rib.ts';
import type { PeerReport, PeerType } from '../bgp/status.ts';
import type { Exchange } from './exchange.ts';
import type { PeerStatus } from './speaker.io.ts';

const TYPES: Readonly<Record<DesiredPeer['kind'], PeerType>> = {
  mesh: 'node-to-node mesh',
  node: 'node specific',
  global: 'global',
};

export function peerReport(
  { peer, state, since, lastError, flaps }: PeerStatus,
  { rib, exchange }: { readonly rib: Rib; readonly exchange: Exchange },
): PeerReport {
  const { name, kind, node, address, port, family, asn, localAsn, passive } = peer;
  return {
    name,
    type: TYPES[kind],
    ...(node === undefined ? {} : { node }),
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
    prefixesIn: rib.counts.get(address) ?? 0,
    prefixesOut: exchange.told.get(address)?.announcements.size ?? 0,
  };
}
