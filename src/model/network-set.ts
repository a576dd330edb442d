// NetworkSet and GlobalNetworkSet: named lists of prefixes that selectors find by their labels.
import type { Resource } from './resource.ts';

export interface NetworkSetSpec {
  readonly nets?: readonly string[];
}

export type NetworkSet = Resource<'NetworkSet', NetworkSetSpec>;
export type GlobalNetworkSet = Resource<'GlobalNetworkSet', NetworkSetSpec>;
