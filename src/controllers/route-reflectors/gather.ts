// What the decision needs, out of Calico's Nodes and Kubernetes' nodes.
import type { Node as KubernetesNode } from '../../kubernetes/api.ts';
import type { Node } from '../../model/node.ts';
import { matches } from '../../model/selector/match.ts';
import type { Selector } from '../../model/selector/selector.ts';
import type { Candidate } from './decide.ts';

/** On a Calico Node: chosen by this controller. */
export const REFLECTOR_LABEL = 'calico-kit.io/route-reflector';
const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** Kubernetes calls a node unready after 40 s; a restart of its kubelet must not move a reflector. */
const GRACE_MILLISECONDS = 30_000;

/** What Kubernetes says of one node. */
export interface Seen {
  readonly zone: string;
  /** Its labels are those that reflectors are to have. */
  readonly wanted: boolean;
  readonly ready: boolean;
  readonly cordoned: boolean;
  /** Monotonic; undefined: it is ready. */
  readonly unreadySince: number | undefined;
}

/** `wanted`: which nodes may be reflectors, by their labels in Kubernetes. */
export function seenOf(
  { metadata, spec, status }: KubernetesNode,
  wanted: Selector,
  before: Seen | undefined,
  now: number,
): Seen {
  const ready = status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
  return {
    zone: metadata.labels?.[ZONE_LABEL] ?? '',
    wanted: matches(wanted, (name) => metadata.labels?.[name]),
    ready,
    cordoned: spec?.unschedulable ?? false,
    unreadySince: ready ? undefined : (before?.unreadySince ?? now),
  };
}

/** When a node that is unready now counts as dead. */
export const deadAt = ({ unreadySince }: Seen): number | undefined =>
  unreadySince === undefined ? undefined : unreadySince + GRACE_MILLISECONDS;

/** Undefined: no node of Kubernetes. */
export function candidateOf(
  { metadata, spec }: Node,
  seen: (name: string) => Seen | undefined,
  now: number,
): Candidate | undefined {
  const name = spec.orchRefs?.find(({ orchestrator }) => orchestrator === 'k8s')?.nodeName;
  const kubernetes = name === undefined ? undefined : seen(name);
  const labelled = metadata.labels?.[REFLECTOR_LABEL] !== undefined;
  if (!kubernetes && !labelled) return undefined;
  const reflecting = Boolean(spec.bgp?.routeReflectorClusterID);
  const cordoned = kubernetes?.cordoned ?? true;
  const death = kubernetes ? deadAt(kubernetes) : now;
  return {
    name: metadata.name,
    zone: kubernetes?.zone ?? '',
    wanted: kubernetes?.wanted ?? false,
    eligible:
      (kubernetes?.ready ?? false) &&
      !cordoned &&
      clusterIdOf(spec.bgp) !== undefined &&
      (labelled || !reflecting),
    alive: !cordoned && (death === undefined || now < death),
    labelled,
    reflecting,
  };
}

/**
 * A cluster ID of its own for each reflector (RFC 4456 section 7): with a common one, a client
 * whose session with one of them is down could not be reached from there.
 */
export function clusterIdOf(bgp: Node['spec']['bgp']): string | undefined {
  return bgp?.ipv4Address?.split('/')[0] || undefined;
}
