// Which endpoints of a service this node may send packets to (pkg/proxy/topology.go).
import type { Endpoint, ServicePort } from './read.ts';

export interface Choice {
  /** For traffic with policy Cluster. */
  readonly cluster: readonly Endpoint[];
  /** For traffic with policy Local. */
  readonly local: readonly Endpoint[];
  /** Both, each once. */
  readonly all: readonly Endpoint[];
  /** Somewhere in the cluster somebody serves. */
  readonly any: boolean;
}

export interface Place {
  readonly node: string;
  readonly zone: string;
}

export const isExternal = ({ nodePort, externalIps, loadBalancerIps }: ServicePort): boolean =>
  nodePort !== 0 || externalIps.length > 0 || loadBalancerIps.length > 0;

export function choose(service: ServicePort, place: Place): Choice {
  const { endpoints, internalLocal, externalLocal } = service;
  const usesCluster = !internalLocal || isExternal(service);
  const usesLocal = internalLocal || (externalLocal && isExternal(service));
  const cluster = usesCluster ? readyOrLast(endpoints, hinted(endpoints, place)) : [];
  const here = endpoints.filter((one) => one.local);
  const local = usesLocal ? readyOrLast(here, here) : [];
  return {
    cluster,
    local,
    all: [...new Map([...cluster, ...local].map((one) => [one.place, one])).values()].sort(
      (a, b) => (a.place < b.place ? -1 : 1),
    ),
    any: cluster.length > 0 || (usesLocal && readyOrLast(endpoints, endpoints).length > 0),
  };
}

/** Those of `preferred` that are ready; where none is, those of all that serve to the end. */
function readyOrLast(
  all: readonly Endpoint[],
  preferred: readonly Endpoint[],
): readonly Endpoint[] {
  const ready = preferred.filter((one) => one.ready);
  return ready.length > 0 ? ready : all.filter((one) => one.lastResort && !one.ready);
}

/** Hints count when every ready endpoint has them and some are for here. */
function hinted(all: readonly Endpoint[], { node, zone }: Place): readonly Endpoint[] {
  const ready = all.filter((one) => one.ready);
  for (const [field, here] of [
    ['nodes', node],
    ['zones', zone],
  ] as const) {
    const chosen = ready.filter((one) => one[field].includes(here));
    if (here !== '' && chosen.length > 0 && ready.every((one) => one[field].length > 0))
      return chosen;
  }
  return all;
}
