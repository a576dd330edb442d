// Attributes that prefixes share, each set once: decoded when its octets are first seen, with the
// numbers that the decision compares beside it. A set lives as long as a path uses it.
import { assert } from '../../../base/assert.ts';
import { type Ip, valueOfIp } from '../../../net/ip.ts';
import { ORIGINS, type PathAttributes } from '../../codec/attributes.ts';
import type { WireContext } from '../../codec/decode-attributes.ts';
import { decodeUpdate, lengthOfAsPath } from '../../codec/update.ts';
import { bodyOfOne } from '../../codec/update-parts.ts';
import type { Entry } from '../out/batch.ts';
import { LLGR_STALE } from '../policy/communities.ts';

/** Counts for paths that carry none, those of external peers included. */
export const DEFAULT_LOCAL_PREF = 100;

export interface AttributeSet {
  readonly id: number;
  readonly key: string;
  readonly attributes: PathAttributes;
  readonly nextHop: Ip;
  /** Why announcements with these octets count as withdrawn (RFC 7606); empty: they are good. */
  readonly faults: readonly string[];
  readonly localPref: number;
  readonly asPathLength: number;
  readonly origin: number;
  /** The neighbouring AS, whose MEDs may be compared; 0: none. */
  readonly neighbourAs: number;
  readonly med: number;
  /** ORIGINATOR_ID as a number; undefined: the peer's identifier counts. */
  readonly originator: number | undefined;
  readonly clusterLength: number;
  readonly llgrStale: boolean;
  /** Paths and changes of it that need it. */
  uses: number;
  /** What import made of it, by the number of the import policy. */
  readonly imported: Map<number, ImportVerdict>;
  /** What export makes of it, by policy and source; null: nothing. */
  readonly exported: Map<number, Entry | null>;
}

/** Accepted as a set, which may be another one; or why it is of no use. */
export type ImportVerdict = AttributeSet | string;

const NOTHING: PathAttributes = { origin: 'incomplete', asPath: [] };
const NO_ADDRESS = '0.0.0.0' as Ip;

export class AttributeSets {
  private readonly byKey = new Map<string, AttributeSet>();
  private readonly byId: (AttributeSet | undefined)[] = [];
  private readonly free: number[] = [];

  get size(): number {
    return this.byKey.size;
  }

  at(id: number): AttributeSet {
    return this.byId[id]!;
  }

  find(key: string): AttributeSet | undefined {
    return this.byKey.get(key);
  }

  /** The set of these octets, decoded. `nextHop`: that of MP_REACH_NLRI. */
  decode(
    key: string,
    octets: Uint8Array,
    nextHop: Uint8Array | undefined,
    context: WireContext,
  ): AttributeSet | ReturnType<typeof decodeUpdate> {
    const decoded = decodeUpdate(bodyOfOne(octets, nextHop), context);
    if (!decoded.ok) return decoded;
    const { announced, attributes, faults = [] } = decoded.value;
    const [announcement] = announced;
    return attributes && announcement
      ? this.add(key, attributes, announcement.nextHop, [])
      : this.add(key, NOTHING, NO_ADDRESS, faults.length > 0 ? faults : ['nothing is announced']);
  }

  /** The set of this key, made when there is none. */
  intern(key: string, make: () => { attributes: PathAttributes; nextHop: Ip }): AttributeSet {
    const known = this.byKey.get(key);
    if (known) return known;
    const { attributes, nextHop } = make();
    return this.add(key, attributes, nextHop, []);
  }

  /** A set that nobody retains goes with the next `release`, or with `drop`. */
  retain(id: number, count = 1): void {
    this.byId[id]!.uses += count;
  }

  release(id: number, count = 1): void {
    const set = this.byId[id]!;
    set.uses -= count;
    this.drop(set);
  }

  /** Forgets a set that nobody uses. */
  drop(set: AttributeSet): void {
    assert(set.uses >= 0, 'a set is released as often as it was retained');
    if (set.uses > 0 || this.byId[set.id] !== set) return;
    this.byKey.delete(set.key);
    this.byId[set.id] = undefined;
    this.free.push(set.id);
    // What it became on import lived through it.
    for (const verdict of set.imported.values())
      if (typeof verdict !== 'string' && verdict !== set) this.release(verdict.id);
  }

  /** What import made of the sets no longer holds: another identity or policy. */
  forgetImports(): void {
    for (const set of [...this.byKey.values()]) {
      const made = [...set.imported.values()];
      set.imported.clear();
      for (const verdict of made)
        if (typeof verdict !== 'string' && verdict !== set) this.release(verdict.id);
    }
  }

  forgetExports(): void {
    for (const set of this.byKey.values()) set.exported.clear();
  }

  private add(
    key: string,
    attributes: PathAttributes,
    nextHop: Ip,
    faults: readonly string[],
  ): AttributeSet {
    const id = this.free.pop() ?? this.byId.length;
    const { originatorId } = attributes;
    const first = attributes.asPath[0];
    const set: AttributeSet = {
      id,
      key,
      attributes,
      nextHop,
      faults,
      localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF,
      asPathLength: lengthOfAsPath(attributes.asPath),
      origin: ORIGINS.indexOf(attributes.origin),
      neighbourAs: first?.kind === 'sequence' ? first.asns[0]! : 0,
      med: attributes.med ?? 0,
      originator: originatorId === undefined ? undefined : Number(valueOfIp(originatorId)),
      clusterLength: attributes.clusterList?.length ?? 0,
      llgrStale: attributes.communities?.includes(LLGR_STALE) ?? false,
      uses: 0,
      imported: new Map(),
      exported: new Map(),
    };
    this.byId[id] = set;
    this.byKey.set(key, set);
    return set;
  }
}
