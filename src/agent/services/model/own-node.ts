// What this node's own object says of it.
import type { Node } from '../../../kubernetes/api.ts';
import { type Ip, parseIp } from '../../../net/ip.ts';
import type { Place } from '../../../services/render/choose.ts';

const ZONE = 'topology.kubernetes.io/zone';
/** Of the cluster autoscaler, on a node that it will end. */
const TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler';

export interface OwnNode {
  readonly place: Place;
  /** Those of type InternalIP. */
  readonly ips: readonly Ip[];
  /** It may be sent traffic: it is there, and will stay. */
  readonly isEligible: boolean;
}

export const unknownNode = (name: string): OwnNode => ({
  place: { node: name, zone: '' },
  ips: [],
  isEligible: false,
});

export function ownNode({ metadata, spec, status }: Node): OwnNode {
  const addresses = (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP');
  return {
    place: { node: metadata.name, zone: metadata.labels?.[ZONE] ?? '' },
    ips: addresses.flatMap(({ address }) => parseIp(address) ?? []),
    isEligible:
      metadata.deletionTimestamp === undefined &&
      !spec?.taints?.some(({ key }) => key === TO_BE_DELETED),
  };
}

/** Whether rules are the same for both. */
export const isSameNode = (a: OwnNode, b: OwnNode): boolean =>
  a.place.zone === b.place.zone && a.ips.join() === b.ips.join();
