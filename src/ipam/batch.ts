// A batch of requests as one transaction, pure: working copies of the touched blocks and handles,
// the compares that guard them and the writes that store them.
import { defined } from '../base/assert.ts';
import type { Compare, KeyValue, Write } from '../datastore/store.ts';
import { type IpamBlock, type IpamHandle, printIpam } from '../model/ipam.ts';
import { cooldownSeconds } from '../model/ipam-config.ts';
import { blockKey, handleKey } from '../model/keys.ts';
import { type Cidr, ipAt } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { assignOne, isAbandoned, ordinalsOf, releaseOrdinals, renewHandle } from './block.ts';
import { type Cooldown, collectCooled } from './cooldown.ts';
import type { IpamView, Sent } from './ipam-view.ts';
import type { AlongsideWrites, ReleaseRequest } from './request.ts';

/** Compares of a transaction with what each one guards. */
export interface Guard {
  readonly compare: Compare;
  /** Member whose `alongside` this is, and the place in it; undefined for IPAM's own. */
  readonly alongside: { readonly member: number; readonly index: number } | undefined;
}

/**
 * A working copy with the revision it was taken at: the view may learn of newer ones before the
 * batch is sent, and the compare must be against what was copied.
 */
interface Copy<T> {
  readonly value: T;
  readonly revision: bigint;
  /** False: only compared, because a decision rests on it. */
  readonly changed: boolean;
}

/** One address for a handle. */
export interface Assignment {
  readonly cidr: Cidr;
  readonly handleId: string;
  readonly secondary: Readonly<Record<string, string>>;
  /** Absent: the ordinal that has been free longest. */
  readonly ordinal?: number | undefined;
}

const isSameLife = (
  block: IpamBlock,
  ordinal: number,
  only: NonNullable<ReleaseRequest['only']>,
): boolean => {
  const wanted = only.find(({ ip }) => ip === ipAt(block.cidr, ordinal))?.sequenceNumber;
  const now = block.sequenceNumberForAllocation[String(ordinal)];
  return wanted === undefined || (now !== undefined && BigInt(now) === BigInt(wanted));
};

/** Collects what several requests do to blocks and handles. */
export class Batch {
  /** The batch's wall-clock time: what has cooled down by then is free. */
  readonly now: Date;
  /** What `writes` puts, as values. */
  readonly sent = new Map<string, Sent>();
  private readonly view: IpamView;
  private readonly blocks = new Map<Cidr, Copy<IpamBlock>>();
  private readonly handles = new Map<string, Copy<IpamHandle | undefined>>();
  /** Blocks that a handle names and that must not exist. */
  private readonly absent = new Set<Cidr>();
  /** Endpoints of other nodes that go: key -> the revision they were read at. */
  private readonly gone = new Map<string, bigint>();
  private readonly others: { readonly member: number; readonly alongside: AlongsideWrites }[] = [];
  private readonly written = new Set<string>();

  constructor(view: IpamView, now: Date) {
    this.view = view;
    this.now = now;
  }

  /** A copy that can be thrown away when a member does not fit. */
  fork(): Batch {
    const copy = new Batch(this.view, this.now);
    for (const [cidr, block] of this.blocks) copy.blocks.set(cidr, block);
    for (const [id, handle] of this.handles) copy.handles.set(id, handle);
    for (const cidr of this.absent) copy.absent.add(cidr);
    for (const [key, revision] of this.gone) copy.gone.set(key, revision);
    copy.others.push(...this.others);
    for (const key of this.written) copy.written.add(key);
    return copy;
  }

  /** The block as this batch will leave it. */
  block(cidr: Cidr): IpamBlock | undefined {
    return this.copyOf(cidr)?.value;
  }

  private copyOf(cidr: Cidr): Copy<IpamBlock> | undefined {
    const copy = this.blocks.get(cidr);
    if (copy) return copy;
    const known = this.view.blocks.get(cidr);
    if (!known) return undefined;
    return { ...known, value: collectCooled(known.value, this.cooldown()), changed: false };
  }

  private cooldown(): Cooldown {
    return { now: this.now, seconds: cooldownSeconds(this.view.config) };
  }

  private handle(id: string): Copy<IpamHandle | undefined> {
    const known = this.view.handles.get(id) ?? { value: undefined, revision: 0n };
    return this.handles.get(id) ?? { ...known, changed: false };
  }

  /**
   * Makes the transaction depend on everything that is known of a handle: the view may be behind,
   * and neither an address nor its absence may be answered from memory alone.
   */
  hold(handleId: string): void {
    this.handles.set(handleId, this.handle(handleId));
    for (const cidr of this.view.blockNamesOf(handleId)) {
      const copy = this.copyOf(cidr);
      if (copy) this.blocks.set(cidr, copy);
      else this.absent.add(cidr);
    }
  }

  /** Whether the handle is touched already: a handle may appear only once in a transaction. */
  touches(handleId: string): boolean {
    return this.handles.has(handleId);
  }

  assign({ cidr, handleId, secondary, ordinal }: Assignment): Ip {
    const copy = defined(this.copyOf(cidr), `block ${cidr}`);
    const assigned = assignOne(copy.value, { handle_id: handleId, secondary }, ordinal);
    this.blocks.set(cidr, { ...copy, value: assigned.block, changed: true });
    const { value: handle, revision } = this.handle(handleId);
    const counts = { ...handle?.block, [cidr]: (handle?.block[cidr] ?? 0) + 1 };
    const value = { ...handle, block: counts, deleted: false };
    this.handles.set(handleId, { value, revision, changed: true });
    return ipAt(cidr, assigned.ordinal);
  }

  /** What the handle has becomes the asker's: other attributes on the same addresses. */
  renew(handleId: string, secondary: Readonly<Record<string, string>>): void {
    for (const cidr of this.view.blockNamesOf(handleId)) {
      const copy = this.copyOf(cidr);
      const value = copy && renewHandle(copy.value, { handle_id: handleId, secondary });
      if (!value || value === copy.value) continue;
      this.blocks.set(cidr, { ...copy, value, changed: true });
      // Written anew as it is: its revision tells whether the transaction happened.
      this.handles.set(handleId, { ...this.handle(handleId), changed: true });
    }
  }

  /** Deletes what was read, if it is still as it was. */
  drop(items: readonly KeyValue[]): void {
    for (const { key, revision } of items) this.gone.set(key, revision);
  }

  /** Frees what the handle has, or `only` some of it; undefined: one of these is in a new life. */
  release({ handleId, only }: ReleaseRequest): readonly Ip[] | undefined {
    this.hold(handleId);
    const ips: Ip[] = [];
    const left = new Map(Object.entries(this.handle(handleId).value?.block ?? {}));
    for (const cidr of this.view.blockNamesOf(handleId)) {
      const copy = this.copyOf(cidr);
      const ordinals = copy && ordinalsOf(copy.value, handleId);
      const freed = ordinals?.filter((o) => !only || only.some(({ ip }) => ip === ipAt(cidr, o)));
      if (only && copy && freed?.some((ordinal) => !isSameLife(copy.value, ordinal, only)))
        return undefined;
      if ((ordinals?.length ?? 0) === (freed?.length ?? 0)) left.delete(cidr);
      else left.set(cidr, ordinals!.length - freed!.length);
      if (!copy || !freed?.length) continue;
      const value = releaseOrdinals(copy.value, freed, this.cooldown());
      this.blocks.set(cidr, { ...copy, value, changed: true });
      ips.push(...freed.map((ordinal) => ipAt(cidr, ordinal)));
    }
    this.setCounts(handleId, left);
    return ips;
  }

  private setCounts(handleId: string, counts: ReadonlyMap<string, number>): void {
    const { value: handle, revision } = this.handle(handleId);
    if (!handle) return;
    const block = Object.fromEntries(counts);
    const value = counts.size > 0 ? { ...handle, block } : undefined;
    this.handles.set(handleId, { value, revision, changed: true });
  }

  /** How many keys its transaction compares or writes, whichever are more. */
  get size(): number {
    const own = this.blocks.size + this.handles.size + this.gone.size;
    const withOthers = (what: 'compares' | 'writes'): number =>
      this.others.reduce((sum, { alongside }) => sum + alongside[what].length, own);
    return Math.max(this.absent.size + withOthers('compares'), withOthers('writes'));
  }

  /** False: an earlier member writes such a key; this member must wait for the next batch. */
  addAlongside(member: number, alongside: AlongsideWrites): boolean {
    const keys = alongside.writes.map((write) => write.key);
    if (keys.some((key) => this.written.has(key))) return false;
    for (const key of keys) this.written.add(key);
    this.others.push({ member, alongside });
    return true;
  }

  /** Takes the batch, which was stored at `revision`, into the view. */
  learn(revision: bigint): void {
    for (const [cidr, { value, changed }] of this.blocks) {
      const newer = (this.view.blocks.get(cidr)?.revision ?? -1n) >= revision;
      if (changed && isAbandoned(value)) this.view.removed(blockKey(cidr), revision);
      else if (changed && !newer) this.view.blocks.set(cidr, { value, revision });
    }
    for (const [id, { value, changed }] of this.handles) {
      const newer = (this.view.handles.get(id)?.revision ?? -1n) >= revision;
      if (changed && !value) this.view.removed(handleKey(id), revision);
      else if (changed && value && !newer) this.view.handles.set(id, { value, revision });
    }
  }

  guards(): readonly Guard[] {
    const own = (key: string, revision: bigint): Guard => ({
      compare: { key, revision },
      alongside: undefined,
    });
    const others = this.others.flatMap(({ member, alongside }) =>
      alongside.compares.map((compare, index) => ({ compare, alongside: { member, index } })),
    );
    return [
      ...[...this.blocks].map(([cidr, { revision }]) => own(blockKey(cidr), revision)),
      ...[...this.absent].map((cidr) => own(blockKey(cidr), 0n)),
      ...[...this.handles].map(([id, { revision }]) => own(handleKey(id), revision)),
      ...[...this.gone].map(([key, revision]) => own(key, revision)),
      ...others,
    ];
  }

  writes(): readonly Write[] {
    const put = (key: string, value: IpamBlock | IpamHandle): Write => {
      const text = printIpam(value);
      this.sent.set(key, { text, value });
      return { kind: 'put', key, value: text };
    };
    const blocks = [...this.blocks].flatMap(([cidr, { value, changed }]): Write[] => {
      if (!changed) return [];
      // A block that lost its owner goes with its last address.
      if (isAbandoned(value)) return [{ kind: 'delete', key: blockKey(cidr) }];
      return [put(blockKey(cidr), value)];
    });
    const handles = [...this.handles].flatMap(([id, { value, changed }]): Write[] => {
      if (!changed) return [];
      return [value ? put(handleKey(id), value) : { kind: 'delete', key: handleKey(id) }];
    });
    const gone = [...this.gone.keys()].map((key): Write => ({ kind: 'delete', key }));
    return [
      ...blocks,
      ...handles,
      ...gone,
      ...this.others.flatMap(({ alongside }) => alongside.writes),
    ];
  }
}
