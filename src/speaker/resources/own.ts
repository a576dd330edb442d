// What the datastore says of the own node: its routes, its pods, and what it does for which pool. Pure functions
// of the view.
import type { BgpWorkload } from '../../bgp/peers/workloads.ts';
import { type ClusterRoutes, clusterRoutes, ownerOfRoutes } from '../../model/cluster-routes.ts';
import { labelsOf } from '../../model/selector/labels.ts';
import { type Cidr, cidr } from '../../net/cidr.ts';
import { isCovered, type OwnRoutes, ownRoutes } from '../../routes/own.ts';
import { type RoutePool, routePool } from '../../routes/writer.ts';
import type { SpeakerView } from './view.ts';

/** Whether an own endpoint's address is told by itself: no larger block of the node holds it. */
export const isToldAlone = (view: SpeakerView, address: Cidr): boolean =>
  view.ownBlocks.has(address) || !isCovered(address, view.ownBlocks);

const endpointAddresses = ({ endpoints }: SpeakerView): readonly Cidr[] =>
  [...endpoints.values()].flatMap(({ addresses }) => addresses);

/** The own node's pods as peers, in an order that does not change. */
export const workloadsOf = ({ endpoints, profiles }: SpeakerView): readonly BgpWorkload[] =>
  [...endpoints]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { workload, labels, profiles: names }]) => ({
      ...workload,
      labels: labelsOf(
        labels,
        names.map((name) => profiles.get(name)),
      ),
    }));

/** Whether pods may be peers, so that the demand hangs on their coming and going. */
export const peersWithPods = ({ peers }: SpeakerView): boolean =>
  [...peers.values()].some(({ remote }) => remote.kind === 'workloads');

/** What the own node answers for. */
export const ownRoutesOf = (view: SpeakerView): OwnRoutes =>
  ownRoutes({
    blocks: [...view.ownBlocks],
    addresses: [...view.ownTunnels, ...endpointAddresses(view)],
    pools: [...view.pools.values()].map((spec) => ({ cidr: cidr(spec.cidr) })),
  });

export interface DemandedPool extends RoutePool {
  readonly disabled: boolean;
  readonly disableBgpExport: boolean;
}

/** The pools; `speaker`: those whose routes BGPConfiguration says are ours to write. */
export function poolsOf(view: SpeakerView, speaker?: ClusterRoutes): readonly DemandedPool[] {
  const { environment, felix, node } = view;
  const said = environment || (felix.get(`node.${node}`) ?? felix.get('default'));
  const agent = clusterRoutes(said);
  return [...view.pools.values()].map((spec) => ({
    ...routePool(spec, (pool) => ownerOfRoutes(pool, speaker, agent)),
    disabled: spec.disabled ?? false,
    disableBgpExport: spec.disableBGPExport ?? false,
  }));
}
