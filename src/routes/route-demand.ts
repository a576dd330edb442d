// What routes follow from beside what peers tell.
import type { Cidr, InterfaceAddress } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import type { RoutePool } from './desired.ts';
import type { OwnRoutes } from './own.ts';

/** What is wanted beside the learned prefixes; asked for after each change. */
export interface RouteDemand {
  readonly own: Pick<OwnRoutes, 'blackholes' | 'held'>;
  readonly pools: readonly RoutePool[];
  /** The node's own, one a family. */
  readonly addresses: readonly InterfaceAddress[];
  /** By a node's address: that of its VXLAN device. Another map when anything in it is another. */
  readonly vteps?: ReadonlyMap<Ip, Ip> | undefined;
  /** Peers' addresses that are reached by a gateway of their own. */
  readonly statics?: ReadonlyMap<Cidr, Ip>;
  /** Names of links over which no next hop is looked for; `*` stands for any characters. */
  readonly ignoredInterfaces?: readonly string[];
}
