// What callers ask of the allocator and what they get.
import type { OpError } from '../base/op-error.ts';
import type { Compare, Write } from '../datastore/store.ts';
import type { AllowedUse } from '../model/ip-pool.ts';
import type { Ip } from '../net/ip.ts';

/** Addresses of one request: with the smallest blocks each is a write of its own transaction. */
export const COUNT_MAX = 100;

/** Writes that must happen in the same transaction, e.g. the WorkloadEndpoint. */
export interface AlongsideWrites {
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

export interface AssignRequest {
  /** `<network>.<containerId>`: the name under which the addresses are released. */
  readonly handleId: string;
  /** Facts about the owner: node, pod, namespace, timestamp. */
  readonly attributes: Readonly<Record<string, string>>;
  /** How many addresses of each family, at most `COUNT_MAX` together; all or nothing. */
  readonly count4: number;
  readonly count6: number;
  /** Pool names or CIDRs by family; empty: any pool that selects the node. */
  readonly pools4?: readonly string[];
  readonly pools6?: readonly string[];
  /** At most one address a family by name, instead of any; of several, it is the first. */
  readonly requested?: readonly Ip[];
  /** What the address is for: the pool must allow it (IPPool allowedUses). Absent: Workload. */
  readonly use?: AllowedUse;
  /** The pod's namespace: pools may select it. */
  readonly namespace?: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  /**
   * A stable address, e.g. of a StatefulSet's ordinal: `handleId` names the owner for good
   * (`<network>.<namespace>-<pod>`, never a container), so that DEL, which frees the container's
   * handle, leaves it. Whoever asks next for the handle gets the same address, on any node: in the
   * same transaction the stored attributes become the asker's (`keep: "true"` is added). On a node
   * that does not own the block it is a borrowed address; with strict affinity that is refused.
   * The endpoint that the former owner (attributes `node`, `namespace`, `pod`) has for the address is
   * deleted in that transaction too. The owner is the pod of that name, or, with an attribute
   * `vmi-name`, the KubeVirt VM, whose pods have ever new names. A release of the handle itself gives
   * the address up.
   */
  readonly keep?: boolean;
  /** Called again on every retry. */
  alongside(ips: readonly Ip[]): AlongsideWrites;
}

export interface ReleaseRequest {
  readonly handleId: string;
  /**
   * Only these of the handle's addresses, and each only in the life that its sequence number names:
   * for those who decided on what they read before. If one is in another life nothing is freed.
   * What the handle does not have is left out of the answer.
   */
  readonly only?: readonly {
    readonly ip: Ip;
    readonly sequenceNumber?: number | bigint;
  }[];
  readonly alongside?: AlongsideWrites;
}

export type AssignOutcome =
  /** `revision` is that of the transaction with the `alongside` writes; 0n when its reply was lost. */
  | { readonly kind: 'assigned'; readonly ips: readonly Ip[]; readonly revision: bigint }
  /** `message` says which pools were looked at and why none had an address. */
  | { readonly kind: 'exhausted'; readonly message: string }
  /** The asked address belongs to somebody else, or to no pool. */
  | { readonly kind: 'refused'; readonly message: string }
  /** A compare of `alongside` did not hold: the caller decides. */
  | { readonly kind: 'conflict'; readonly index: number }
  | { readonly kind: 'unavailable'; readonly error: OpError };

export type ReleaseOutcome =
  | { readonly kind: 'released'; readonly ips: readonly Ip[] }
  /** An address of `only` was given out anew since. */
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'conflict'; readonly index: number }
  | { readonly kind: 'unavailable'; readonly error: OpError };

/** What a handle has. */
export interface Held {
  readonly ips: readonly Ip[];
  readonly facts: Readonly<Record<string, string>>;
}
