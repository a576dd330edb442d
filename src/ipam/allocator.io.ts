// Address management of one node. One worker takes everything that is waiting as one transaction:
// the common ADD is one round trip, and what arrives meanwhile shares the next. All safety rests on
// compare-and-swap; nothing is assumed after a reply is lost.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { messageOf, OpError } from '../base/op-error.ts';
import type { Store, TransactionResult, Write } from '../datastore/store.ts';
import { IPAM, resourcePrefix } from '../model/keys.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import { Batch, type Guard } from './batch.ts';
import { ownerOf } from './block.ts';
import { claimBlock } from './claim.io.ts';
import { learnConflict, refusedMembers } from './conflict.ts';
import { IpamView } from './ipam-view.ts';
import { type Pick, pickAny, pickRequested } from './pick.ts';
import { type ReadBack, readBack } from './read-back.io.ts';
import type { AssignOutcome, AssignRequest, ReleaseOutcome, ReleaseRequest } from './request.ts';

export type {
  AlongsideWrites,
  AssignOutcome,
  AssignRequest,
  ReleaseOutcome,
  ReleaseRequest,
} from './request.ts';

/** etcd takes 128 operations a transaction; an ADD needs three, DEL four. */
const BATCH_MAX = 24;
const CONFLICTS_MAX = 100;
const WAITING_MAX = 10_000;

export interface Allocator {
  assign(request: AssignRequest): Promise<AssignOutcome>;
  /** Frees everything of the handle; idempotent and durable when it resolves. */
  release(request: ReleaseRequest): Promise<ReleaseOutcome>;
  /** From the warm view. */
  addressesOf(handleId: string): readonly Ip[];
  /** Handles with addresses assigned on this node. */
  handles(): ReadonlyMap<string, readonly Ip[]>;
  /** Why an address of the family could not be given now; undefined when it could. */
  shortage(family: Family, pools?: readonly string[]): string | undefined;
  /** Resolves when the first snapshots are in. */
  ready(): Promise<void>;
  close(): void;
}

export interface AllocatorOptions {
  readonly store: Store;
  readonly node: string;
  readonly clock: Clock;
  readonly log?: Log;
  /** Whether a pool's node selector matches this node; absent: only `all()` does. */
  readonly selectsNode?: (selector: string) => boolean;
  /** A named place where a test may end the process. */
  readonly failpoint?: (name: string) => void | Promise<void>;
}

interface Member {
  readonly request:
    | { readonly kind: 'assign'; readonly of: AssignRequest }
    | { readonly kind: 'release'; readonly of: ReleaseRequest };
  readonly answer: (outcome: AssignOutcome | ReleaseOutcome) => void;
  conflicts: number;
}

/** What a member gets when the batch is committed. */
type Success =
  | Extract<AssignOutcome, { kind: 'assigned' }>
  | Extract<ReleaseOutcome, { kind: 'released' }>;

const attributesOf = ({ attributes, keep }: AssignRequest): Readonly<Record<string, string>> =>
  keep ? { ...attributes, keep: 'true' } : attributes;

export function openAllocator(options: AllocatorOptions): Allocator {
  return new NodeAllocator(options);
}

class NodeAllocator implements Allocator {
  private readonly options: AllocatorOptions;
  private readonly view: IpamView;
  private readonly stop = new AbortController();
  private readonly inSync: Promise<void>;
  private waiting: Member[] = [];
  private working = false;
  private readonly unreadable = new Set<Cidr>();

  constructor(options: AllocatorOptions) {
    this.options = options;
    this.view = new IpamView(options.node);
    this.inSync = Promise.all([this.follow(IPAM), this.follow(resourcePrefix('ippools'))]).then(
      () => {},
    );
  }

  ready = (): Promise<void> => this.inSync;
  close = (): void => this.stop.abort();
  addressesOf = (handleId: string): readonly Ip[] => this.view.addressesOf(handleId);
  handles = (): ReadonlyMap<string, readonly Ip[]> => this.view.localHandles();

  assign(of: AssignRequest): Promise<AssignOutcome> {
    return this.enqueue({ kind: 'assign', of }) as Promise<AssignOutcome>;
  }

  release(of: ReleaseRequest): Promise<ReleaseOutcome> {
    return this.enqueue({ kind: 'release', of }) as Promise<ReleaseOutcome>;
  }

  shortage(family: Family, pools: readonly string[] = []): string | undefined {
    const alongside = () => ({ compares: [], writes: [] });
    const about = { handleId: '', attributes: {}, pools4: pools, pools6: pools, alongside };
    const found = this.pick(new Batch(this.view), { ...about, count4: 1, count6: 1 }, family);
    return 'message' in found ? found.message : undefined;
  }

  private follow(prefix: string): Promise<void> {
    return new Promise((resolve) => {
      this.options.store.watch(
        prefix,
        {
          snapshot: ({ items }) => {
            this.view.snapshot(prefix, items);
            resolve();
          },
          changes: (changes) => this.view.changes(changes),
        },
        this.stop.signal,
      );
    });
  }

  private enqueue(request: Member['request']): Promise<AssignOutcome | ReleaseOutcome> {
    return new Promise((answer) => {
      if (this.waiting.length >= WAITING_MAX) {
        return answer({
          kind: 'unavailable',
          error: new OpError('ipam', `more than ${WAITING_MAX} requests are waiting`),
        });
      }
      this.waiting.push({ request, answer, conflicts: 0 });
      if (!this.working) void this.work();
    });
  }

  private async work(): Promise<void> {
    this.working = true;
    try {
      await this.inSync;
      while (this.waiting.length > 0) {
        const members = this.waiting.splice(0, BATCH_MAX);
        try {
          await this.serve(members);
        } catch (cause) {
          const error = cause instanceof OpError ? cause : new OpError('ipam', cause);
          for (const { answer } of members) answer({ kind: 'unavailable', error });
        }
      }
    } finally {
      this.working = false;
    }
  }

  private async serve(members: readonly Member[]): Promise<void> {
    let batch = new Batch(this.view);
    const served: { readonly member: Member; readonly success: Success }[] = [];
    const later: Member[] = [];
    for (const member of members) {
      const fork = batch.fork();
      const placed =
        member.request.kind === 'assign'
          ? await this.placeAssign(fork, member.request.of, served.length)
          : this.placeRelease(fork, member.request.of, served.length);
      if (placed === 'later') later.push(member);
      else if (placed.kind === 'assigned' || placed.kind === 'released') {
        batch = fork;
        served.push({ member, success: placed });
      } else member.answer(placed);
    }
    if (served.length > 0) await this.commit(batch, batch.guards(), served);
    this.waiting.unshift(...later);
  }

  private placeRelease(batch: Batch, request: ReleaseRequest, index: number): Success | 'later' {
    if (batch.touches(request.handleId)) return 'later';
    const ips = batch.release(request.handleId);
    if (request.alongside && !batch.addAlongside(index, request.alongside)) return 'later';
    return { kind: 'released', ips };
  }

  private async placeAssign(
    batch: Batch,
    request: AssignRequest,
    index: number,
  ): Promise<AssignOutcome | 'later'> {
    if (batch.touches(request.handleId)) return 'later';
    batch.hold(request.handleId);
    const present = this.view.addressesOf(request.handleId);
    const ips: Ip[] = [...present]; // a repeated ADD keeps what it has
    const foreign = request.keep && this.strangerOf(request.handleId);
    if (foreign) return { kind: 'refused', message: foreign };
    if (request.keep) batch.renew(request.handleId, attributesOf(request));
    for (const family of [4, 6] as const) {
      const count = family === 4 ? request.count4 : request.count6;
      if (count === 0 || present.some((ip) => familyOf(ip) === family)) continue;
      const taken = await this.take(batch, request, family);
      if (typeof taken !== 'string') return taken;
      ips.push(taken);
    }
    if (!batch.addAlongside(index, request.alongside(ips))) return 'later';
    return { kind: 'assigned', ips, revision: 0n };
  }

  // With strict affinity a kept address cannot follow to a node that does not own its block.
  private strangerOf(handleId: string): string | undefined {
    if (!this.view.config?.strict_affinity) return undefined;
    const owner = ownerOf(this.options.node);
    const block = this.view.blocksOf(handleId).find(({ value }) => value.affinity !== owner);
    return (
      block &&
      `${handleId} keeps an address in ${block.value.cidr} of ${block.value.affinity} (strict affinity)`
    );
  }

  private async take(
    batch: Batch,
    request: AssignRequest,
    family: Family,
  ): Promise<Ip | Exclude<AssignOutcome, { kind: 'assigned' }>> {
    for (let attempt = 0; attempt < CONFLICTS_MAX; attempt++) {
      const pick = this.pick(batch, request, family);
      if (pick.kind === 'block') {
        const { handleId } = request;
        const secondary = attributesOf(request);
        return batch.assign({ cidr: pick.cidr, handleId, secondary, ordinal: pick.ordinal });
      }
      if (pick.kind !== 'claim') return pick;
      const claimed = await claimBlock(this.options, this.view, pick.cidr);
      if (claimed === 'unreadable') this.unreadable.add(pick.cidr);
    }
    return {
      kind: 'unavailable',
      error: new OpError('ipam claim', `lost ${CONFLICTS_MAX} races for a block`),
    };
  }

  private pick(batch: Batch, request: AssignRequest, family: Family): Pick {
    const { node, selectsNode = (selector: string) => /^(all\(\))?$/.test(selector.trim()) } =
      this.options;
    const pools = (family === 4 ? request.pools4 : request.pools6) ?? [];
    const about = { node, family, pools, selectsNode, avoid: this.unreadable };
    const requested = request.requested?.find((ip) => familyOf(ip) === family);
    return requested
      ? pickRequested(this.view, batch, requested, about)
      : pickAny(this.view, batch, about);
  }

  private async commit(
    batch: Batch,
    guards: readonly Guard[],
    served: readonly { readonly member: Member; readonly success: Success }[],
  ): Promise<void> {
    const { failpoint } = this.options;
    await failpoint?.('ipam:before-commit');
    const writes = batch.writes();
    const result = await this.send(guards, writes);
    await failpoint?.('ipam:after-commit');
    if (result.kind === 'committed') batch.learn(result.revision);
    else learnConflict(this.view, guards, result.current);
    if (result.kind !== 'conflict') {
      const revision = result.kind === 'committed' ? result.revision : 0n;
      for (const { member, success } of served)
        member.answer(success.kind === 'assigned' ? { ...success, revision } : success);
      return;
    }
    const refused = refusedMembers(guards, result.current);
    this.retry(
      refused,
      served.map(({ member }) => member),
    );
  }

  private async send(
    guards: readonly Guard[],
    writes: readonly Write[],
  ): Promise<TransactionResult | ReadBack> {
    const { store, log } = this.options;
    const compares = guards.map(({ compare }) => compare);
    try {
      return await store.transaction(compares, writes);
    } catch (cause) {
      log?.warn({ cause: messageOf(cause) }, 'ipam: reply lost, reading back');
      return readBack(store, guards, writes, cause);
    }
  }

  // A member whose own compare failed is told; the others try again.
  private retry(refused: ReadonlyMap<number, number>, members: readonly Member[]): void {
    const again: Member[] = [];
    for (const [i, member] of members.entries()) {
      const index = refused.get(i);
      if (index !== undefined) member.answer({ kind: 'conflict', index });
      else if (++member.conflicts < CONFLICTS_MAX) again.push(member);
      else
        member.answer({
          kind: 'unavailable',
          error: new OpError('ipam', `lost ${CONFLICTS_MAX} races`),
        });
    }
    this.waiting.unshift(...again);
  }
}
