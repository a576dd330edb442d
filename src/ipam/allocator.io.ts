// Address management of one node. One worker takes everything that is waiting as one transaction:
// the common ADD is one round trip, and what arrives meanwhile shares the next. All safety rests on
// compare-and-swap; nothing is assumed after a reply is lost.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { messageOf, OpError } from '../base/op-error.ts';
import type { Store, TransactionResult, Write } from '../datastore/store.ts';
import { cooldownSeconds, ipamConfigProblem, keepsMachines } from '../model/ipam-config.ts';
import { IPAM } from '../model/keys.ts';
import type { Family, Ip } from '../net/ip.ts';
import { auditIpam, leakedAddresses } from './audit.ts';
import { Batch, type Guard } from './batch.ts';
import { type Item, ownItems } from './check/own-items.ts';
import { RestHistory } from './check/rest-history.ts';
import { learnConflict, refusedMembers } from './conflict.ts';
import { IpamView } from './ipam-view.ts';
import { pickAny } from './pick.ts';
import {
  CONFLICTS_MAX,
  type PlaceContext,
  placeAssign,
  placeRelease,
  type Success,
} from './place.io.ts';
import { type ReadBack, readBack } from './read-back.io.ts';
import type {
  AssignOutcome,
  AssignRequest,
  Held,
  ReleaseOutcome,
  ReleaseRequest,
} from './request.ts';
import { Upkeep } from './upkeep.io.ts';

export type * from './request.ts';

/** etcd takes 128 operations a transaction; an ADD needs three, DEL four, and many addresses more. */
const OPERATIONS_MAX = 128;
const BATCH_MAX = 24;
const WAITING_MAX = 10_000;

export interface Allocator {
  assign(request: AssignRequest): Promise<AssignOutcome>;
  /** Frees everything of the handle; idempotent and durable when it resolves. */
  release(request: ReleaseRequest): Promise<ReleaseOutcome>;
  /** From the warm view. */
  addressesOf(handleId: string): readonly Ip[];
  /** Attributes that were given with the assignment. */
  factsOf(handleId: string): Readonly<Record<string, string>>;
  /** Handles with addresses assigned on this node; none whose address is kept. */
  handles(): ReadonlyMap<string, readonly Ip[]>;
  /** Whether KubeVirt VMs keep their addresses. */
  keepsMachines(): boolean;
  /** What `handles` and `factsOf` told before the datastore was restored from a backup; else nothing. */
  before(): ReadonlyMap<string, Held>;
  /** Addresses of this node's blocks that nobody has. */
  freeAddresses(): readonly Ip[];
  /** Why an address of the family could not be given now; undefined when it could. */
  shortage(family: Family, pools?: readonly string[]): string | undefined;
  /**
   * What is wrong by the warm view in this node's blocks and with these stored endpoints of its
   * pods, each in a sentence. Only what is said twice in a row lasts: view and endpoints may be of
   * different moments.
   */
  violations(endpoints: readonly Item[]): readonly string[];
  /** Resolves when the first snapshots are in. */
  ready(): Promise<void>;
  close(): void;
}

export interface AllocatorOptions {
  readonly store: Store;
  readonly node: string;
  readonly clock: Clock;
  readonly log?: Log;
  /** False: no blocks are claimed ahead or given back; for a node that is being removed. */
  readonly upkeep?: false;
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
  private readonly placing: PlaceContext;
  private configProblem: string | undefined;
  private heldBefore: ReadonlyMap<string, Held> = new Map();
  private readonly history = new RestHistory();

  constructor(options: AllocatorOptions) {
    this.options = options;
    this.view = new IpamView(options.node);
    const signal = options.upkeep === false ? AbortSignal.abort() : this.stop.signal;
    const upkeep = new Upkeep(options, this.view, signal);
    this.placing = { claims: options, view: this.view, upkeep };
    const prefixes = [...this.view.prefixes.keys()];
    this.inSync = Promise.all(prefixes.map((prefix) => this.follow(prefix))).then(() => {});
  }

  ready = (): Promise<void> => this.inSync;
  close = (): void => this.stop.abort();
  addressesOf = (handleId: string): readonly Ip[] => this.view.addressesOf(handleId);
  factsOf = (handleId: string): Readonly<Record<string, string>> => this.view.factsOf(handleId);
  handles = (): ReadonlyMap<string, readonly Ip[]> => this.view.localHandles();
  keepsMachines = (): boolean => keepsMachines(this.view.config);
  before = (): ReadonlyMap<string, Held> => this.heldBefore;

  freeAddresses = (): readonly Ip[] => this.view.freeAddresses();

  violations(endpoints: readonly Item[]): readonly string[] {
    const { node, clock } = this.options;
    const items = [...ownItems(this.view, node), ...endpoints];
    const cooldown = { now: clock.date(), seconds: cooldownSeconds(this.view.config) };
    const own = [...this.view.blocks.owned].flatMap((cidr) => this.view.blocks.get(cidr) ?? []);
    const early = this.history.look(
      own.map(({ value }) => value),
      cooldown,
    );
    return [...auditIpam(items), ...leakedAddresses(items, node), ...early];
  }

  assign(of: AssignRequest): Promise<AssignOutcome> {
    return this.enqueue({ kind: 'assign', of }) as Promise<AssignOutcome>;
  }

  release(of: ReleaseRequest): Promise<ReleaseOutcome> {
    return this.enqueue({ kind: 'release', of }) as Promise<ReleaseOutcome>;
  }

  shortage(family: Family, pools: readonly string[] = []): string | undefined {
    const batch = new Batch(this.view, this.options.clock.date());
    const picking = { view: this.view, batch, node: this.options.node };
    const found = pickAny(picking, { pools4: pools, pools6: pools }, family);
    return 'message' in found ? found.message : undefined;
  }

  private follow(prefix: string): Promise<void> {
    return new Promise((resolve) => {
      this.options.store.watch(
        prefix,
        {
          restored: () => {
            if (prefix === IPAM) this.heldBefore = this.held();
          },
          snapshot: ({ items }) => {
            this.view.snapshot(prefix, items);
            this.checkConfig();
            resolve();
          },
          changes: (changes) => {
            this.view.changes(changes);
            this.checkConfig();
            if (prefix !== IPAM) void this.inSync.then(() => this.placing.upkeep.start());
          },
        },
        this.stop.signal,
      );
    });
  }

  private held(): ReadonlyMap<string, Held> {
    const handles = [...this.handles()];
    return new Map(handles.map(([id, ips]) => [id, { ips, facts: this.factsOf(id) }]));
  }

  // Somebody else may have written what we would refuse: it is followed as far as it goes.
  private checkConfig(): void {
    const problem = this.view.config && ipamConfigProblem(this.view.config);
    if (problem && problem !== this.configProblem)
      this.options.log?.warn({ problem }, 'ipam: the stored configuration makes no sense');
    this.configProblem = problem;
  }

  private enqueue(request: Member['request']): Promise<AssignOutcome | ReleaseOutcome> {
    return new Promise((answer) => {
      if (this.waiting.length >= WAITING_MAX) {
        const error = new OpError('ipam', `more than ${WAITING_MAX} requests are waiting`);
        return answer({ kind: 'unavailable', error });
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
    let batch = new Batch(this.view, this.options.clock.date());
    const served: { readonly member: Member; readonly success: Success }[] = [];
    const later: Member[] = [];
    for (const member of members) {
      const fork = batch.fork();
      const { request } = member;
      const placed =
        request.kind === 'assign'
          ? await placeAssign(this.placing, fork, request.of, served.length)
          : placeRelease(fork, request.of, served.length);
      if (placed === 'later' || (served.length > 0 && fork.size > OPERATIONS_MAX))
        later.push(member);
      else if (placed.kind === 'assigned' || placed.kind === 'released') {
        batch = fork;
        served.push({ member, success: placed });
      } else member.answer(placed);
    }
    if (served.length > 0) await this.commit(batch, batch.guards(), served);
    this.waiting.unshift(...later);
  }

  private async commit(
    batch: Batch,
    guards: readonly Guard[],
    served: readonly { readonly member: Member; readonly success: Success }[],
  ): Promise<void> {
    const { failpoint } = this.options;
    await failpoint?.('ipam:before-commit');
    const writes = batch.writes();
    this.view.sent = batch.sent;
    const result = await this.send(guards, writes);
    await failpoint?.('ipam:after-commit');
    if (result.kind === 'committed') batch.learn(result.revision);
    else learnConflict(this.view, guards, result.current);
    if (result.kind !== 'conflict') {
      const revision = result.kind === 'committed' ? result.revision : 0n;
      for (const { member, success } of served)
        member.answer(success.kind === 'assigned' ? { ...success, revision } : success);
      this.placing.upkeep.start();
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
    const { store, log, failpoint } = this.options;
    const compares = guards.map(({ compare }) => compare);
    try {
      return await store.transaction(compares, writes);
    } catch (cause) {
      log?.warn({ cause: messageOf(cause) }, 'ipam: reply lost, reading back');
      await failpoint?.('ipam:before-read-back');
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
