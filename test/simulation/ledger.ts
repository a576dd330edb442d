// The truth: what the store holds after every commit, decoded, and who held which address when. Each
// commit is checked against the invariants of IPAM the moment it happens.

import { parseJson } from '../../src/base/json.ts';
import { handleOf } from '../../src/ipam/block.ts';
import {
  type AllocationAttribute,
  type IpamBlock,
  type IpamHandle,
  isConfirmed,
  parseAffinity,
  parseBlock,
  parseHandle,
} from '../../src/model/ipam.ts';
import { parseKey } from '../../src/model/keys.ts';
import { type Cidr, ipAt, ordinalOf } from '../../src/net/cidr.ts';
import type { Ip } from '../../src/net/ip.ts';
import type { Commit } from './network.ts';
import type { Micros } from './scheduler.ts';

/** What a handle held from `since` on; `revision` is that of the commit. */
export interface Holding {
  readonly since: Micros;
  readonly revision: bigint;
  readonly ips: readonly Ip[];
}

export interface Endpoint {
  readonly containerId: string;
  readonly ips: readonly Ip[];
}

/** A block before and after a commit. */
export interface BlockChange {
  readonly cidr: Cidr;
  readonly before: IpamBlock | undefined;
  readonly after: IpamBlock | undefined;
}

/** What one commit did, decoded. */
export interface Effect {
  readonly commit: Commit;
  readonly now: Micros;
  readonly blocks: readonly BlockChange[];
  readonly handles: readonly string[];
  readonly affinities: readonly Cidr[];
  readonly endpoints: readonly string[];
}

const NOTHING: Holding = { since: 0, revision: 0n, ips: [] };

/** Who has the ordinal: a handle, nobody, or nobody for a while yet. */
export function holderOf(block: IpamBlock, ordinal: number): string | undefined {
  const index = block.allocations[ordinal];
  const attribute: AllocationAttribute | undefined =
    index === null || index === undefined ? undefined : block.attributes[index];
  return attribute && handleOf(attribute);
}

export class Ledger {
  readonly blocks = new Map<Cidr, IpamBlock>();
  /** Former lives of blocks. */
  readonly retired = new Map<Cidr, { readonly sequenceNumber: bigint; readonly at: Micros }>();
  readonly handles = new Map<string, IpamHandle>();
  /** Block -> nodes with a confirmed affinity. */
  readonly owners = new Map<Cidr, Set<string>>();
  /** Block -> since when its owner has no confirmed affinity to it. */
  readonly unconfirmed = new Map<Cidr, Micros>();
  readonly endpoints = new Map<string, Endpoint>();
  /** `<key> <revision>` of every endpoint that was ever written. */
  readonly endpointWrites = new Set<string>();
  readonly endpointsByIp = new Map<Ip, Set<string>>();
  /** Address -> handle, over all blocks. */
  readonly holders = new Map<Ip, string>();
  /** Handle -> block -> addresses, as the blocks say. */
  readonly held = new Map<string, Map<Cidr, Set<Ip>>>();
  readonly unreadable: string[] = [];
  readonly doubles: string[] = [];
  private readonly history = new Map<string, Holding[]>();

  /** Takes a commit in and says what it changed. */
  apply(commit: Commit, now: Micros): Effect {
    const blocks: BlockChange[] = [];
    const handles = new Set<string>();
    const affinities = new Set<Cidr>();
    const endpoints: string[] = [];
    for (const write of commit.writes) {
      const key = parseKey(write.key);
      const value = write.kind === 'put' ? write.value : undefined;
      if (key?.kind === 'block') {
        const change = this.putBlock(key.cidr, value, handles);
        const { before, after } = change;
        if (before && !after) {
          this.retired.set(key.cidr, { sequenceNumber: BigInt(before.sequenceNumber), at: now });
        }
        blocks.push(change);
        affinities.add(key.cidr);
      } else if (key?.kind === 'handle') {
        handles.add(key.id);
        this.putHandle(key.id, value);
      } else if (key?.kind === 'affinity') {
        affinities.add(key.cidr);
        this.putAffinity(key.cidr, key.node, value);
      } else if (key?.kind === 'namespaced' && key.plural === 'workloadendpoints') {
        endpoints.push(write.key);
        this.putEndpoint(write.key, value);
        if (value !== undefined) this.endpointWrites.add(`${write.key} ${commit.revision}`);
      }
    }
    for (const cidr of affinities) this.noteConfirmed(cidr, now);
    for (const handle of handles) this.remember(handle, commit.revision, now);
    return {
      commit,
      now,
      blocks,
      handles: [...handles],
      affinities: [...affinities],
      endpoints,
    };
  }

  /** Of the address's allocation; undefined while nobody has it. */
  sequenceNumberOf(ip: Ip): number | bigint | undefined {
    const handle = this.holders.get(ip);
    for (const [cidr, ips] of this.held.get(handle ?? '') ?? []) {
      if (!ips.has(ip)) continue;
      const number = this.blocks.get(cidr)?.sequenceNumberForAllocation[ordinalOf(cidr, ip)];
      return number;
    }
    return undefined;
  }

  addressesOf(handle: string): readonly Ip[] {
    return [...(this.held.get(handle)?.values() ?? [])].flatMap((ips) => [...ips]).sort();
  }

  /** What the handle held at some time between the two. */
  heldBetween(handle: string, from: Micros, to: Micros): readonly Holding[] {
    const all = [NOTHING, ...(this.history.get(handle) ?? [])];
    return all.filter(({ since }, i) => since <= to && (all[i + 1]?.since ?? to) >= from);
  }

  private putBlock(cidr: Cidr, value: string | undefined, touched: Set<string>): BlockChange {
    const before = this.blocks.get(cidr);
    const parsed = value === undefined ? undefined : parseBlock(value);
    if (parsed && !parsed.ok) this.unreadable.push(`block ${cidr}: ${parsed.error}`);
    const after = parsed?.ok ? parsed.value : undefined;
    if (after) this.blocks.set(cidr, after);
    else this.blocks.delete(cidr);
    const moves: { ip: Ip; was: string | undefined; is: string | undefined }[] = [];
    const size = Math.max(before?.allocations.length ?? 0, after?.allocations.length ?? 0);
    for (let ordinal = 0; ordinal < size; ordinal++) {
      const was = before && holderOf(before, ordinal);
      const is = after && holderOf(after, ordinal);
      if (was !== is) moves.push({ ip: ipAt(cidr, ordinal), was, is });
    }
    for (const { ip, was } of moves) if (was) this.free(cidr, ip, was, touched);
    for (const { ip, is } of moves) if (is) this.take(cidr, ip, is, touched);
    return { cidr, before, after };
  }

  private free(cidr: Cidr, ip: Ip, handle: string, touched: Set<string>): void {
    touched.add(handle);
    if (this.holders.get(ip) === handle) this.holders.delete(ip);
    this.held.get(handle)?.get(cidr)?.delete(ip);
  }

  private take(cidr: Cidr, ip: Ip, handle: string, touched: Set<string>): void {
    touched.add(handle);
    const present = this.holders.get(ip);
    if (present !== undefined) this.doubles.push(`I1: ${ip} of ${present} was given to ${handle}`);
    this.holders.set(ip, handle);
    const blocks = this.held.get(handle) ?? new Map<Cidr, Set<Ip>>();
    this.held.set(handle, blocks);
    blocks.set(cidr, (blocks.get(cidr) ?? new Set<Ip>()).add(ip));
  }

  private putHandle(id: string, value: string | undefined): void {
    const parsed = value === undefined ? undefined : parseHandle(value);
    if (parsed && !parsed.ok) this.unreadable.push(`handle ${id}: ${parsed.error}`);
    if (parsed?.ok) this.handles.set(id, parsed.value);
    else this.handles.delete(id);
  }

  private putAffinity(cidr: Cidr, node: string, value: string | undefined): void {
    const parsed = value === undefined ? undefined : parseAffinity(value);
    const owners = this.owners.get(cidr) ?? new Set<string>();
    this.owners.set(cidr, owners);
    if (parsed?.ok && isConfirmed(parsed.value)) owners.add(node);
    else owners.delete(node);
  }

  private noteConfirmed(cidr: Cidr, now: Micros): void {
    const owner = this.blocks.get(cidr)?.affinity ?? '';
    const confirmed = this.owners.get(cidr)?.has(owner.replace('host:', ''));
    if (confirmed || owner === '') this.unconfirmed.delete(cidr);
    else if (!this.unconfirmed.has(cidr)) this.unconfirmed.set(cidr, now);
  }

  private putEndpoint(key: string, value: string | undefined): void {
    for (const ip of this.endpoints.get(key)?.ips ?? []) this.endpointsByIp.get(ip)?.delete(key);
    this.endpoints.delete(key);
    if (value === undefined) return;
    const { spec } = parseJson(value) as unknown as {
      spec: { containerID: string; ipNetworks: string[] };
    };
    const ips = spec.ipNetworks.map((network) => network.split('/')[0] as Ip);
    this.endpoints.set(key, { containerId: spec.containerID, ips });
    for (const ip of ips) {
      this.endpointsByIp.set(ip, (this.endpointsByIp.get(ip) ?? new Set()).add(key));
    }
  }

  private remember(handle: string, revision: bigint, since: Micros): void {
    const all = this.history.get(handle) ?? [];
    this.history.set(handle, all);
    all.push({ since, revision, ips: this.addressesOf(handle) });
  }
}
