// What is in use by this node's endpoints, counted by who uses it: policies and profiles by endpoints, ip
// sets by the rules of these. Told the endpoints as they are, answers what has come and gone since the
// last time, at the cost of what is different.
import type { ParsedRule, SetDefinition } from '../read/parsed-rule.ts';
import type { Policy, Profile } from '../read/resources.ts';
import type { Applied } from './applied-policies.ts';

export type Owner = Policy | Profile;

export interface ComeAndGone<T> {
  readonly come: readonly T[];
  readonly gone: readonly T[];
}

/** An endpoint or a guarded interface. */
export interface User extends Applied {
  readonly interfaceName: string;
}

/**
 * Policies and profiles, each by its object: another one of the same name is another. Users differ
 * by their interfaces and keep their order: where few are different, the others cost a look.
 */
export class OwnersInUse {
  private former: readonly User[] = [];
  private readonly counts = new Map<Owner, number>();

  take(users: readonly User[]): ComeAndGone<Owner> {
    const touched = new Map<Owner, boolean>();
    const parts = difference(this.former, users);
    const former = new Map(parts.gone.map((user) => [user.interfaceName, user]));
    for (const user of parts.come) {
      this.change(former.get(user.interfaceName), user, touched);
      former.delete(user.interfaceName);
    }
    for (const before of former.values()) this.change(before, undefined, touched);
    this.former = users;
    const come: Owner[] = [];
    const gone: Owner[] = [];
    for (const [owner, wasThere] of touched) {
      const isThere = this.counts.has(owner);
      if (isThere && !wasThere) come.push(owner);
      if (!isThere && wasThere) gone.push(owner);
    }
    return { come, gone };
  }

  private change(
    before: Applied | undefined,
    now: Applied | undefined,
    touched: Map<Owner, boolean>,
  ): void {
    for (const kind of ['policies', 'profiles'] as const) {
      const parts = difference<Owner>(before?.[kind] ?? [], now?.[kind] ?? []);
      for (const owner of parts.come) this.count(owner, 1, touched);
      for (const owner of parts.gone) this.count(owner, -1, touched);
    }
  }

  private count(owner: Owner, more: 1 | -1, touched: Map<Owner, boolean>): void {
    const before = this.counts.get(owner) ?? 0;
    if (!touched.has(owner)) touched.set(owner, before > 0);
    if (before + more > 0) this.counts.set(owner, before + more);
    else this.counts.delete(owner);
  }
}

// Lists in order: what they begin and end with alike is not looked at again.
function difference<T>(before: readonly T[], now: readonly T[]): ComeAndGone<T> {
  let first = 0;
  while (first < before.length && first < now.length && before[first] === now[first]) first++;
  let same = 0;
  const rest = Math.min(before.length, now.length) - first;
  const [end, endNow] = [before.length - 1, now.length - 1];
  while (same < rest && before[end - same] === now[endNow - same]) same++;
  return {
    come: now.slice(first, now.length - same),
    gone: before.slice(first, before.length - same),
  };
}

/** The sets that the rules of policies and profiles name. */
export class SetsInUse {
  private readonly owners: OwnersInUse[] = [];
  private readonly counts = new Map<string, number>();

  /** Users of several kinds, always in this order; of one kind, one for each interface. */
  take(users: readonly (readonly User[])[]): ComeAndGone<SetDefinition> {
    const parts = users.map((kind, i) => {
      this.owners[i] ??= new OwnersInUse();
      return this.owners[i].take(kind);
    });
    const come = parts.flatMap((part) => part.come);
    const gone = parts.flatMap((part) => part.gone);
    const fresh = new Map<string, SetDefinition>();
    const former = new Map<string, SetDefinition>();
    for (const set of come.flatMap(setsOf)) {
      const count = this.counts.get(set.id) ?? 0;
      if (count === 0) fresh.set(set.id, set);
      this.counts.set(set.id, count + 1);
    }
    for (const set of gone.flatMap(setsOf)) {
      const count = this.counts.get(set.id)! - 1;
      if (count > 0) this.counts.set(set.id, count);
      else this.counts.delete(set.id);
      if (count === 0 && !fresh.delete(set.id)) former.set(set.id, set);
    }
    return { come: [...fresh.values()], gone: [...former.values()] };
  }
}

/** Policies and profiles never change; several ask the same of each. */
const KNOWN_SETS = new WeakMap<Owner, readonly SetDefinition[]>();

function setsOf(owner: Owner): readonly SetDefinition[] {
  const known = KNOWN_SETS.get(owner);
  if (known) return known;
  const { ingress = [], egress = [] } = owner;
  const named = [...ingress, ...egress].flatMap(setsOfRule);
  const sets = [...new Map(named.map((set) => [set.id, set])).values()];
  KNOWN_SETS.set(owner, sets);
  return sets;
}

/** What `SetsInUse.take` will ask of each owner is done beforehand; a pause after each user. */
export function* readySets(users: readonly Applied[]): Generator<void, void> {
  for (const { policies, profiles } of users) {
    for (const owner of policies) setsOf(owner);
    for (const owner of profiles) setsOf(owner);
    yield;
  }
}

const setsOfRule = ({ source, destination }: ParsedRule): readonly SetDefinition[] =>
  [source, destination].flatMap(({ sets, notSets, portSets, notPortSets }) => [
    ...sets,
    ...notSets,
    ...portSets,
    ...notPortSets,
  ]);

/** The sets that the rules of endpoints name, by identity. */
export function definitionsOf(active: readonly Applied[]): ReadonlyMap<string, SetDefinition> {
  const owners = new Set<Owner>(
    active.flatMap(({ policies, profiles }) => [...policies, ...profiles]),
  );
  return new Map([...owners].flatMap(setsOf).map((set) => [set.id, set]));
}
