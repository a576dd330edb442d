// Routes, neighbours and forwarding entries of VXLAN, from the datastore alone: no BGP has a part in it; so the
// routes of other pools that are the agent's (`programClusterRoutes`). A node without a speaker has its
// blackholes from here too. Idle until a pool or such a node wants it.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import type { Store } from '../../datastore/store.ts';
import type { Kernel, Link } from '../../kernel/kernel.ts';
import type { ClusterRoutes, RouteOwner } from '../../model/cluster-routes.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import { BLOCK_OWNERS, resourcePrefix } from '../../model/keys.ts';
import type { Family } from '../../net/ip.ts';
import { type RouteDemand, Routing } from '../../routes/routing.io.ts';
import { AGENT, ownerOf, type RoutePool, routePool, SOLE_AGENT } from '../../routes/writer.ts';
import { type OverlayPart, OverlayView } from './view.ts';
import { VtepTable } from './vtep-table.io.ts';

const PREFIXES: Readonly<Record<OverlayPart, string>> = {
  nodes: resourcePrefix('nodes'),
  affinities: BLOCK_OWNERS,
  workloadendpoints: resourcePrefix('workloadendpoints'),
};
const PARTS = Object.keys(PREFIXES) as readonly OverlayPart[];
const FAMILIES: readonly Family[] = [4, 6];

export interface OverlayParts {
  readonly node: string;
  readonly store: Store;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly pools: () => readonly IpPool[];
  /** Who writes the routes of pools without VXLAN. */
  readonly routesOwner: (pool: keyof ClusterRoutes) => RouteOwner;
  /** Another program writes the routes of all other pools. */
  readonly hasSpeaker: boolean;
}

export class Overlay {
  private readonly parts: OverlayParts;
  private readonly view: OverlayView;
  private readonly tables: ReadonlyMap<Family, VtepTable>;
  private readonly listed = new Set<OverlayPart>();
  private routing: Routing | undefined;
  /** Devices that came before the view was whole. */
  private readonly waiting = new Map<Family, number>();
  private vteps: OverlayView['vtepsByNode'] | undefined;

  constructor(parts: OverlayParts) {
    this.parts = parts;
    this.view = new OverlayView(parts.node);
    this.tables = new Map(
      FAMILIES.map((family) => {
        const wanted = () => this.view.vteps(family);
        return [family, new VtepTable({ kernel: parts.kernel, log: parts.log, wanted })] as const;
      }),
    );
  }

  /** The pools may be others, or who writes their routes. */
  look(): void {
    if (this.routing) this.routing.changed();
    else if (!this.parts.hasSpeaker || this.pools().some((pool) => ownerOf(pool) === 'agent'))
      this.begin();
  }

  /** The VXLAN device of a family is as it shall be, and may have lost all that it knew. */
  deviceReady(family: Family, { index }: Link): void {
    if (this.isInSync) this.tables.get(family)?.setDevice(index);
    else this.waiting.set(family, index);
    this.routing?.retry();
  }

  private get isInSync(): boolean {
    return this.listed.size === PARTS.length;
  }

  private begin(): void {
    const { kernel, clock, log, signal, store, hasSpeaker } = this.parts;
    const demand = () => this.demand();
    const writer = hasSpeaker ? AGENT : SOLE_AGENT;
    const routing = new Routing({ kernel, clock, log, demand, writer });
    this.routing = routing;
    const tables = [...this.tables.values()];
    kernel.subscribe(
      (event) => {
        for (const table of tables) table.heard(event);
      },
      signal,
      { neighbours: true },
    );
    const close = (): void => {
      routing.close();
      for (const table of tables) table.close();
    };
    signal.addEventListener('abort', close, { once: true });
    for (const part of PARTS)
      store.watch(
        PREFIXES[part],
        {
          snapshot: ({ items }) => {
            this.view.snapshot(part, items);
            this.listed.add(part);
            this.taken();
          },
          changes: (changes) => {
            this.view.changes(changes);
            this.taken();
          },
        },
        signal,
      );
  }

  /** The view has changed; nothing is done before all of it is there. */
  private taken(): void {
    const { routing, view } = this;
    if (!routing || !this.isInSync) return;
    routing.learned(view.take());
    const vteps = view.vtepsByNode;
    if (view.takeOwnChanged() || vteps !== this.vteps) routing.changed();
    if (vteps !== this.vteps) for (const table of this.tables.values()) table.changed();
    this.vteps = vteps;
    for (const [family, index] of this.waiting) this.tables.get(family)?.setDevice(index);
    this.waiting.clear();
    // All that anybody could claim has been: what an earlier run left goes.
    routing.sweep();
  }

  private demand(): RouteDemand {
    const { view } = this;
    const pools = this.pools();
    const addresses = FAMILIES.flatMap((family) => view.ownAddress(family) ?? []);
    return { own: view.own(pools), pools, addresses, vteps: view.vtepsByNode };
  }

  private pools(): readonly RoutePool[] {
    return this.parts.pools().map(({ spec }) => routePool(spec, this.parts.routesOwner));
  }
}
