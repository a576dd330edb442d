// The ip sets that one family's tables name, as values: those of endpoints' rules and the fixed ones. What
// has not changed comes back as the same object.
import type { Cidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import { SetsInUse, type User } from './active/in-use.ts';
import type { DesiredSet } from './desired.ts';
import type { SetIndex } from './members/set-index.ts';
import type { Tunnelled } from './render/tunnel-rules.ts';
import { netMembers } from './set-members.ts';
import { fixedSets, netSet, portSet } from './sets.ts';
import type { World } from './world.ts';

type Make = typeof netSet;

/** What the fixed sets are made of. */
export interface Surroundings {
  readonly tunnelled: Tunnelled;
  readonly node: string;
  /** Whether rules name the set of all nodes. */
  readonly needsHosts: boolean;
  readonly externalNodes: readonly Cidr[];
  readonly ownAddress: Ip | undefined;
  /** Of packets that get a DSCP; undefined: none do. */
  readonly dscp: DesiredSet | undefined;
  /** Members that a set may have. */
  readonly elementsMax: number;
}

export class FamilySets {
  private readonly family: Family;
  private readonly world: World;
  private readonly index: SetIndex;
  private readonly used = new SetsInUse();
  private readonly makers = new Map<string, Make>();
  private readonly byId = new Map<string, DesiredSet>();
  private users: readonly (readonly User[])[] = [];
  private dscp: DesiredSet | undefined;
  private fixed: { readonly from: string; readonly sets: readonly DesiredSet[] } | undefined;
  private known: ReadonlyMap<string, DesiredSet> = new Map();

  constructor(family: Family, world: World, index: SetIndex) {
    this.family = family;
    this.world = world;
    this.index = index;
  }

  /** By the kernel's name; `index` keeps what `users` need. */
  of(users: readonly (readonly User[])[], around: Surroundings): ReadonlyMap<string, DesiredSet> {
    const { family, index } = this;
    let changed = this.use(users);
    for (const [id, make] of this.makers) {
      const members = index.members(id, family);
      const before = this.byId.get(id);
      if (before?.members === members && before.meta.maxElements === around.elementsMax) continue;
      this.byId.set(id, make(family, id, members, around.elementsMax));
      changed = true;
    }
    if (around.dscp !== this.dscp) changed = true;
    this.dscp = around.dscp;
    if (this.fix(around) || changed)
      this.known = byName(this.fixed!.sets, this.dscp ? [this.dscp] : [], this.byId.values());
    return this.known;
  }

  private use(users: readonly (readonly User[])[]): boolean {
    if (users.every((part, i) => part === this.users[i])) return false;
    this.users = users;
    const { come, gone } = this.used.take(users);
    for (const { id } of gone) {
      this.makers.delete(id);
      this.byId.delete(id);
    }
    for (const { id, port, service } of come)
      this.makers.set(id, port || service?.ports ? portSet : netSet);
    return come.length + gone.length > 0;
  }

  private fix(around: Surroundings): boolean {
    const { tunnelled, node, needsHosts, externalNodes, ownAddress, elementsMax } = around;
    const { world, family } = this;
    const { vxlanPort } = tunnelled;
    const from = `${world.addressesVersion} ${vxlanPort} ${needsHosts} ${externalNodes} ${ownAddress ?? ''} ${elementsMax}`;
    if (this.fixed?.from === from) return false;
    const nodes = family === 4 ? world.nodes : world.ipv6Nodes;
    const sets = fixedSets({
      family,
      pools: [...world.pools.values()],
      hosts: needsHosts ? [...nodes.values(), ...externalNodes.flatMap(netMembers)] : undefined,
      vxlanHosts: vxlanPort === undefined ? undefined : world.vxlanHosts(family, node),
      nodeAddress: ownAddress,
      elementsMax,
    });
    this.fixed = { from, sets };
    return true;
  }
}

function byName(...all: readonly Iterable<DesiredSet>[]): ReadonlyMap<string, DesiredSet> {
  const sets = new Map<string, DesiredSet>();
  for (const some of all) for (const set of some) sets.set(set.meta.name, set);
  return sets;
}
