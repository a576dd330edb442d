// Who reaches whom: all pairs of pods, summed by namespace.
import { familyOf } from '../../net/ip.ts';
import type { PolicyModel } from './model.ts';
import type { Packet } from './packet.ts';
import { type Party, partyOf, podsOf, trace } from './trace.ts';

/** A packet but for its ends. */
export type Ports = Omit<Packet, 'source' | 'destination'>;

/** The policies that are enforced, and the same with those that are staged. */
export interface Models {
  readonly enforced: PolicyModel;
  /** Absent: nothing is staged. */
  readonly staged?: PolicyModel;
}

export interface Cell {
  readonly from: string;
  readonly to: string;
  readonly pairs: number;
  readonly allowed: number;
  /** What the staged policies would change. */
  readonly staged?: { readonly denied: number; readonly opened: number };
}

export const namespaceOf = (name: string): string => name.slice(0, name.indexOf('/'));

/** The pods' names, of some namespaces or (with none given) of all. */
export const podNames = (model: PolicyModel, only: readonly string[]): readonly string[] =>
  [...podsOf(model).keys()].filter((name) => only.length === 0 || only.includes(namespaceOf(name)));

/** One row for each namespace of the pods, one cell for each. */
export function matrix(
  { enforced, staged }: Models,
  pods: readonly string[],
  ports: Ports,
): readonly (readonly Cell[])[] {
  const parties = pods.map((name) => partyOf(enforced, name)).filter((party) => party.ok);
  const byNamespace = Map.groupBy(
    parties.map(({ value }) => value),
    ({ name }) => namespaceOf(name),
  );
  const allows = (model: PolicyModel, [a, b]: readonly [Party, Party]): boolean =>
    trace(model, a, b, ports).verdict === 'allow';
  const names = [...byNamespace.keys()].sort();
  return names.map((from) =>
    names.map((to) => {
      const pairs = byNamespace
        .get(from)!
        .flatMap((a) => byNamespace.get(to)!.map((b) => [a, b] as const))
        .filter(([a, b]) => a !== b && familyOf(a.address) === familyOf(b.address));
      const now = pairs.map((pair) => allows(enforced, pair));
      const cell = { from, to, pairs: pairs.length, allowed: now.filter(Boolean).length };
      if (!staged) return cell;
      const then = pairs.map((pair) => allows(staged, pair));
      const denied = now.filter((allowed, i) => allowed && !then[i]).length;
      const opened = then.filter((allowed, i) => allowed && !now[i]).length;
      return { ...cell, staged: { denied, opened } };
    }),
  );
}
