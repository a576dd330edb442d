// What this node tells its peers of its own accord: its pods' blocks, addresses of services, and what else
// BGPConfiguration lets it tell.
import type { OwnRoute } from '../../bgp/table/own-routes.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { communitiesOf } from '../../model/bgp-configuration.ts';
import type { Cidr } from '../../net/cidr.ts';
import { Additional } from './additional.io.ts';
import type { Demand } from './demand.ts';
import { Services, type ServicesParts } from './services.io.ts';

export class Announced {
  private readonly services: Services;
  private readonly additional: Additional;

  constructor(parts: ServicesParts & { readonly kernel: Kernel }) {
    this.services = new Services(parts);
    this.additional = new Additional(parts);
  }

  /** What the datastore says now. */
  set({ cluster, pools }: Demand): void {
    this.services.set(cluster);
    this.additional.set(
      cluster.additionalCidrs,
      pools.map(({ cidr }) => cidr),
    );
  }

  /** Why something is not announced although it should be. */
  get problems(): readonly string[] {
    return this.services.problems;
  }

  /** Whether `routes` is the whole answer. */
  get inSync(): boolean {
    return this.services.inSync;
  }

  /** Beside `blocks`, the rest. */
  routes(blocks: readonly Cidr[], { advertisements }: Demand): readonly OwnRoute[] {
    const routeOf = (source: OwnRoute['source']) => (prefix: Cidr) => ({
      prefix,
      communities: communitiesOf(prefix, advertisements),
      source,
    });
    return [
      ...this.additional.routes.map(routeOf('additional')),
      ...blocks.map(routeOf('block')),
      ...this.services.routes.map(routeOf('service')),
    ];
  }

  close(): void {
    this.services.close();
    this.additional.close();
  }
}
