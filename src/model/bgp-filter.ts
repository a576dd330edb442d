// BGPFilter: ordered rules about which routes a peer may tell or be told, and what is changed in
// them on the way. The stored spec is parsed once into the typed value that the routing table
// evaluates; a filter that cannot be read is refused whole, since half a filter would let through
// what the other half keeps out.
import type { Asn } from '../net/asn.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Community } from '../net/community.ts';

export interface BgpFilter {
  readonly name: string;
  readonly importV4: readonly BgpFilterRule[];
  readonly exportV4: readonly BgpFilterRule[];
  readonly importV6: readonly BgpFilterRule[];
  readonly exportV6: readonly BgpFilterRule[];
}

/** The first rule of which all given conditions hold decides. */
export interface BgpFilterRule {
  readonly match: BgpFilterMatch;
  readonly action: 'accept' | 'reject';
  /** In order; only with `accept`. */
  readonly operations: readonly BgpFilterOperation[];
}

/** Conditions; absent ones hold for every route. */
export interface BgpFilterMatch {
  readonly prefix?: PrefixMatch;
  /** Only routes that BGP peers told. */
  readonly fromRemotePeers?: true;
  /** The interface of the route's next hop; `*` stands for any run of characters. */
  readonly interface?: string;
  readonly peerType?: 'eBGP' | 'iBGP';
  readonly community?: Community;
  /** The AS_PATH begins with these. */
  readonly asPathPrefix?: readonly Asn[];
  /** The metric of the route in the kernel, 1 to 2147483646. */
  readonly priority?: number;
}

/** `in`: inside `cidr` and of a length within the bounds; the negations hold for all other routes. */
export interface PrefixMatch {
  readonly cidr: Cidr;
  readonly operator: 'equal' | 'notEqual' | 'in' | 'notIn';
  /** Never below the length of `cidr`; for `equal` and `notEqual` both are that length. */
  readonly lengthMin: number;
  readonly lengthMax: number;
}

export type BgpFilterOperation =
  | { readonly kind: 'addCommunity'; readonly community: Community }
  /** In the order in which the AS_PATH then begins. */
  | { readonly kind: 'prependAsPath'; readonly asns: readonly Asn[] }
  | { readonly kind: 'setPriority'; readonly priority: number };
