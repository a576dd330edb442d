// IPReservation: addresses inside pools that are never given out by choice of ours.
import type { Json } from '../base/json.ts';
import { parseCidr } from '../net/cidr.ts';
import type { Resource } from './resource.ts';

export interface IpReservationSpec {
  readonly reservedCIDRs?: readonly string[];
}

export type IpReservation = Resource<'IPReservation', IpReservationSpec>;

export function checkIpReservationSpec(spec: Json): string | undefined {
  const { reservedCIDRs: cidrs = [] } = spec as { reservedCIDRs?: Json };
  if (!Array.isArray(cidrs)) return 'reservedCIDRs is no list';
  const wrong = cidrs.find((text) => typeof text !== 'string' || !parseCidr(text));
  return wrong === undefined ? undefined : `reservedCIDRs: ${String(wrong)} is no CIDR`;
}
