// All that is told of one family: a group of peers for each way of telling.

import type { Peer } from '../peer.ts';
import { Queue } from '../routes/queue.ts';
import type { Rib } from '../routes/rib.ts';
import { AdjOut, type Surroundings } from './adj-out.ts';
import { ExportRanges, type ExportSettings, exportKey } from './export.ts';

/** Changes that are told at once, and how few when there are many groups to tell. */
const PORTION = { most: 64, least: 32 } as const;
/** More than come at once, so that what has piled up goes in time. */
const FORGOTTEN_AT_ONCE = 256;

export class Exports {
  private readonly rib: Rib;
  private readonly around: Surroundings;
  private readonly groups = new Map<string, AdjOut>();
  private readonly groupOf = new Map<number, { readonly key: string; readonly group: AdjOut }>();
  private groupsMade = 0;
  private ranges: ExportRanges;
  private settings: ExportSettings = { shutdown: false };
  /** Prefixes that are gone, but which a slow peer may still know. */
  private readonly departed = new Queue();

  constructor(rib: Rib, around: Omit<Surroundings, 'ranges' | 'settings'>) {
    this.rib = rib;
    this.ranges = new ExportRanges(rib.family, [], []);
    this.around = { ...around, ranges: () => this.ranges, settings: () => this.settings };
  }

  setRanges(ranges: ExportRanges): void {
    this.ranges = ranges;
    for (const group of this.groups.values()) group.rebuild();
  }

  setSettings(settings: ExportSettings): void {
    if (JSON.stringify(settings) === JSON.stringify(this.settings)) return;
    this.settings = settings;
    this.rewordAll();
  }

  /** Something else about the peers' paths that decides how they are told. */
  rewordAll(): void {
    this.rib.sets.forgetExports();
    for (const group of this.groups.values()) group.rebuild();
  }

  /** The peer is told from now on; if it is told already, in another way where that differs. */
  join(peer: Peer): void {
    const key = exportKey(peer, this.rib.family);
    const present = this.groupOf.get(peer.index);
    if (present?.key === key) return;
    let group = this.groups.get(key);
    if (!group) {
      this.groupsMade += 1;
      group = new AdjOut(this.groupsMade, this.rib, peer, this.around);
      this.groups.set(key, group);
    }
    group.join(peer, present?.group);
    this.groupOf.set(peer.index, { key, group });
    if (present) this.dropEmpty(present.key, present.group);
    this.countEveryPath();
  }

  leave(peer: number): void {
    const present = this.groupOf.get(peer);
    if (!present) return;
    present.group.leave(peer);
    this.groupOf.delete(peer);
    this.dropEmpty(present.key, present.group);
    this.countEveryPath();
  }

  retell(peer: number, marked: boolean): void {
    this.groupOf.get(peer)?.group.retell(peer, marked);
  }

  toldTo(peer: number): number {
    return this.groupOf.get(peer)?.group.toldTo(peer) ?? 0;
  }

  /** Tells a portion of what has changed; answers its prefixes. */
  tellSome(): Int32Array {
    const { changed } = this.rib;
    const share = Math.ceil(PORTION.most / Math.max(1, this.groups.size));
    const prefixes = new Int32Array(Math.min(changed.length, Math.max(share, PORTION.least)));
    for (let i = 0; i < prefixes.length; i++) prefixes[i] = changed.take();
    for (const group of this.groups.values()) group.tellChanges(prefixes);
    return prefixes;
  }

  /** Nothing that was decided may wait for the next slice. */
  flush(): void {
    for (const group of this.groups.values()) group.flush();
  }

  /** Builds or tells again; false: there is nothing to do now. */
  workSome(): boolean {
    for (const group of this.groups.values()) if (group.workSome()) return true;
    return false;
  }

  finish(): void {
    for (const group of this.groups.values()) group.finish();
  }

  get isHeldUp(): boolean {
    return [...this.groups.values()].some((group) => group.isHeldUp);
  }

  /** Gives up the numbers of prefixes that nobody speaks of any more. */
  forget(prefixes: Int32Array): void {
    const { rib, departed } = this;
    for (let i = 0; i < prefixes.length; i++)
      if (rib.isIdle(prefixes[i]!)) departed.put(prefixes[i]!);
    if (departed.length === 0) return;
    for (const group of this.groups.values()) if (group.remembers) return;
    for (let left = FORGOTTEN_AT_ONCE; left > 0 && departed.length > 0; left--) {
      const prefix = departed.take();
      if (rib.isIdle(prefix)) rib.prefixes.forget(prefix);
    }
  }

  private dropEmpty(key: string, group: AdjOut): void {
    if (group.size === 0) this.groups.delete(key);
  }

  private countEveryPath(): void {
    this.rib.everyPath = [...this.groups.values()].some((group) => group.tellsEveryPath);
  }
}
