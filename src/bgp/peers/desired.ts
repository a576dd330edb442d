// All sessions of a node: those of the BGPPeer resources and those of the mesh, one at most to each
// address and port.
import type { BgpPeer } from '../../model/bgp-peer.ts';
import { compareIp } from '../../net/ip.ts';
import { type DesiredPeer, endpointOf } from '../peers.ts';
import { configuredPeers } from './configured.ts';
import type { PeeringFacts } from './facts.ts';
import { meshPeers } from './mesh.ts';

export interface Desired {
  /** In order of address and port. */
  readonly peers: readonly DesiredPeer[];
  /** What was asked for and is not made, or not as asked for, and why. */
  readonly problems: readonly string[];
}

const RANKS: Readonly<Record<DesiredPeer['kind'], number>> = {
  node: 0,
  global: 1,
  workload: 2,
  mesh: 3,
};

export function desiredPeers(facts: PeeringFacts): Desired {
  // A pod that several resources select speaks as one made for the node says.
  const forAll = ({ local }: BgpPeer): number => (local.kind === 'all' ? 1 : 0);
  const byName = facts.peers.toSorted(
    (a, b) => forAll(a) - forAll(b) || (a.name < b.name ? -1 : 1),
  );
  const all = [...byName.map((peer) => configuredPeers(peer, facts)), meshPeers(facts)];
  const unreadable = facts.cluster.unreadable.includes('mesh')
    ? ['the mesh is not made: BGPConfiguration default cannot be read']
    : [];
  return {
    peers: oneForEach(all.flatMap(({ peers }) => peers)),
    problems: [...new Set([...all.flatMap(({ problems }) => problems), ...unreadable])],
  };
}

// Node beats Global beats Mesh; among equals the first by the resource's name, and of two nodes that
// claim one address the first by its own.
function oneForEach(peers: readonly DesiredPeer[]): readonly DesiredPeer[] {
  const best = new Map<string, DesiredPeer>();
  for (const peer of peers) {
    const rival = best.get(endpointOf(peer));
    if (!rival || beats(peer, rival)) best.set(endpointOf(peer), peer);
  }
  return [...best.values()].sort((a, b) => compareIp(a.address, b.address) || a.port - b.port);
}

function beats(peer: DesiredPeer, rival: DesiredPeer): boolean {
  const better = RANKS[rival.kind] - RANKS[peer.kind];
  if (better !== 0 || peer.kind !== 'mesh') return better > 0;
  return (peer.node ?? '') < (rival.node ?? '');
}
