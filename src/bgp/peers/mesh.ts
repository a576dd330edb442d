// The node-to-node mesh: every node that is not a route reflector peers with every other one, per
// family over its own address. Of two nodes the one whose address is the lower string only listens,
// as with Calico's BIRD, so that the two sides never connect to each other.
import { type DesiredPeer, PEER_DEFAULTS } from '../peers.ts';
import {
  asnOf,
  dashless,
  isBeyondSubnet,
  type PeeringFacts,
  passwordOf,
  portOf,
  wished,
} from './facts.ts';
import { addressOf } from './node.ts';

export function meshPeers({ self, nodes, cluster, secret }: PeeringFacts): {
  readonly peers: readonly DesiredPeer[];
  readonly problems: readonly string[];
} {
  const localAsn = asnOf(self, cluster);
  const off = !cluster.meshEnabled || cluster.unreadable.includes('mesh') || self.isReflector;
  if (off || localAsn === undefined) return { peers: [], problems: [] };
  const found = passwordOf(cluster.nodeMeshPassword, secret);
  if ('problem' in found) return { peers: [], problems: [`nodeMeshPassword: ${found.problem}`] };
  const peers: DesiredPeer[] = [];
  for (const other of nodes) {
    const asn = asnOf(other, cluster);
    if (other.name === self.name || other.isReflector || asn === undefined) continue;
    for (const family of [4, 6] as const) {
      const [ours, theirs] = [addressOf(self, family), addressOf(other, family)];
      if (!ours || !theirs || ours === theirs) continue;
      peers.push({
        ...PEER_DEFAULTS,
        ...wished(cluster.wishes, {
          multihop: isBeyondSubnet(self, theirs),
          kin: asn === localAsn,
        }),
        gracefulRestartSeconds:
          cluster.nodeMeshMaxRestartSeconds ?? PEER_DEFAULTS.gracefulRestartSeconds,
        kind: 'mesh',
        name: `Mesh_${dashless(theirs)}`,
        node: other.name,
        address: theirs,
        port: portOf(other, cluster),
        asn,
        localAddress: ours,
        localAsn,
        family,
        families: [family],
        passive: ours < theirs,
        password: found.password,
      });
    }
  }
  return { peers, problems: [] };
}
