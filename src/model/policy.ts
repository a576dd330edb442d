// Rules, NetworkPolicy, Tier and Profile: what the policy engine enforces.
import type { Resource } from './resource.ts';

export type Action = 'Allow' | 'Deny' | 'Log' | 'Pass';
/** A number, `a:b` range, or a named port. */
export type Port = number | string;

export interface EntityRule {
  readonly nets?: readonly string[];
  readonly notNets?: readonly string[];
  readonly selector?: string;
  readonly notSelector?: string;
  readonly namespaceSelector?: string;
  readonly ports?: readonly Port[];
  readonly notPorts?: readonly Port[];
  readonly serviceAccounts?: { readonly names?: readonly string[]; readonly selector?: string };
  /** The endpoints of a Kubernetes Service; absent namespace: the policy's own. */
  readonly services?: { readonly name?: string; readonly namespace?: string };
}

export interface IcmpMatch {
  readonly type?: number;
  readonly code?: number;
}

export interface Rule {
  readonly action: Action;
  readonly ipVersion?: 4 | 6;
  readonly protocol?: string | number;
  readonly notProtocol?: string | number;
  readonly icmp?: IcmpMatch;
  readonly notICMP?: IcmpMatch;
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly source?: EntityRule;
  readonly destination?: EntityRule;
}

export interface NetworkPolicySpec {
  readonly tier?: string;
  readonly order?: number;
  readonly selector?: string;
  readonly serviceAccountSelector?: string;
  /** Absent in a stored object: Ingress and Egress. */
  readonly types?: readonly ('Ingress' | 'Egress')[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

export type NetworkPolicy = Resource<'NetworkPolicy', NetworkPolicySpec>;
export type GlobalNetworkPolicy = Resource<
  'GlobalNetworkPolicy',
  NetworkPolicySpec & {
    readonly namespaceSelector?: string;
    readonly doNotTrack?: boolean;
    readonly preDNAT?: boolean;
    readonly applyOnForward?: boolean;
  }
>;

/** What becomes of the enforced policy of the same name once the staged one counts; absent: Set. */
export type StagedAction = 'Set' | 'Delete' | 'Learn' | 'Ignore';

export interface ProfileSpec {
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
  readonly labelsToApply?: Readonly<Record<string, string>>;
}

export type Profile = Resource<'Profile', ProfileSpec>;

export interface TierSpec {
  readonly order?: number;
  readonly defaultAction?: 'Deny' | 'Pass';
}

export type Tier = Resource<'Tier', TierSpec>;
