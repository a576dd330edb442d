// What a CalicoNodeStatus is answered, in the words of Calico's API: its daemons are our speaker, a
// family each.
import {
  infoOf,
  type PathReport,
  type PeerReport,
  type RouteReport,
  type SpeakerReport,
} from '../../bgp/status.ts';
import type { StatusClass } from '../../model/calico-node-status.ts';
import { cidrFamily } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';

export interface StatusFacts {
  readonly report: SpeakerReport;
  readonly routes: Iterable<RouteReport>;
  readonly routerId: Ip;
  readonly ready: boolean;
  readonly startedAt: Date;
  readonly now: Date;
}

/** A value in etcd may not be much larger than a megabyte. */
export const ROUTES_MAX = 4000;

/** The resource's status: what is not asked for is there, but empty. */
export function nodeStatusOf(classes: readonly StatusClass[], facts: StatusFacts): object {
  const asked = (one: StatusClass) => classes.includes(one);
  return {
    lastUpdated: timeOf(facts.now),
    agent: asked('Agent') ? agentOf(facts) : { birdV4: {}, birdV6: {} },
    bgp: bgpOf(asked('BGP') ? facts.report.peers : []),
    routes: asked('Routes') ? routesOf(facts) : {},
  };
}

const timeOf = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;

function agentOf({ report, routerId, ready, startedAt }: StatusFacts): object {
  const daemon = (family: Family) => {
    const peers = report.peers.filter((peer) => peer.family === family);
    const up = peers.length === 0 || peers.some(({ state }) => state === 'established');
    return {
      state: ready && up ? 'Ready' : 'NotReady',
      version: 'calico-kit',
      routerID: routerId,
      lastBootTime: timeOf(startedAt),
    };
  };
  return { birdV4: daemon(4), birdV6: daemon(6) };
}

function bgpOf(peers: readonly PeerReport[]): object {
  const of = (family: Family) => peers.filter((peer) => peer.family === family);
  const up = (list: readonly PeerReport[]) => list.filter((p) => p.state === 'established').length;
  const listed = (list: readonly PeerReport[]) => list.map(peerOf);
  const [four, six] = [of(4), of(6)];
  return {
    numberEstablishedV4: up(four),
    numberNotEstablishedV4: four.length - up(four),
    numberEstablishedV6: up(six),
    numberNotEstablishedV6: six.length - up(six),
    ...(four.length > 0 ? { peersV4: listed(four) } : {}),
    ...(six.length > 0 ? { peersV6: listed(six) } : {}),
  };
}

const TYPES: Readonly<Record<PeerReport['type'], string>> = {
  'node-to-node mesh': 'NodeMesh',
  'node specific': 'NodePeer',
  global: 'GlobalPeer',
  // The API has no word for a pod of the node.
  'local workload': 'NodePeer',
};

const peerOf = ({ address, type, state, since }: PeerReport): object => ({
  peerIP: address,
  type: TYPES[type],
  state: infoOf({ state, passive: false }),
  since,
});

function routesOf({ report, routes }: StatusFacts): object {
  const peers = new Map(report.peers.map((peer) => [peer.name, peer]));
  const found: Record<Family, object[]> = { 4: [], 6: [] };
  let left = ROUTES_MAX;
  for (const { prefix, paths } of routes)
    for (const path of paths) {
      if (path.rank === 'unusable') continue;
      if (left === 0) break;
      left -= 1;
      found[cidrFamily(prefix)].push({
        type: path.rank === 'worse' ? 'RIB' : 'FIB',
        destination: prefix,
        ...(path.nextHop ? { gateway: path.nextHop } : {}),
        learnedFrom: sourceOf(path, peers),
      });
    }
  return {
    ...(found[4].length > 0 ? { routesV4: found[4] } : {}),
    ...(found[6].length > 0 ? { routesV6: found[6] } : {}),
  };
}

function sourceOf({ peer: name }: PathReport, peers: ReadonlyMap<string, PeerReport>): object {
  const peer = name === undefined ? undefined : peers.get(name);
  if (!peer) return { sourceType: name === undefined ? 'Static' : 'BGPPeer' };
  const sourceType = peer.type === 'node-to-node mesh' ? 'NodeMesh' : 'BGPPeer';
  return { sourceType, peerIP: peer.address };
}
