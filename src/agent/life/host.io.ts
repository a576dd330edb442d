// This machine as the cluster sees it: the node's address and its MTU, looked after from the start on.
import type { IpPool } from '../../model/ip-pool.ts';
import { encapsulationsOf } from '../../model/mtu.ts';
import type { Ip } from '../../net/ip.ts';
import type { AgentParts } from '../agent.io.ts';
import { measureHost } from '../mtu/metrics.io.ts';
import { NodeMtu } from '../mtu/node-mtu.io.ts';
import { PathProbe } from '../mtu/path-probe.io.ts';
import { askedNow, type MtuSettings } from '../mtu/settings.ts';
import { AddressWatch } from '../start-up/address-watch.io.ts';
import type { Started } from '../start-up.io.ts';
import type { DatastoreView } from '../view.ts';
import { watchHost } from './host-watch.io.ts';

export interface NodeHost {
  /** Of IPv4. */
  readonly address: AddressWatch;
  readonly ipv6Address: AddressWatch;
  readonly mtu: NodeMtu;
  /** Absent: paths are not probed. */
  probe: PathProbe | undefined;
  /** The node's address now. */
  ip(): Ip | undefined;
  /** From now on changes are heard; `nodes`: addresses of all nodes, by key. */
  follow(nodes: () => ReadonlyMap<string, Ip>): void;
}

/** Octets, where nothing is known. */
const OTHERWISE_MTU = 1500;

/** What pods get whose network configuration names no MTU. */
export const podMtuOf = ({ mtu }: NodeHost, { asked }: MtuSettings): number =>
  mtu.state?.podMtu ?? asked ?? OTHERWISE_MTU;

/** Instead of what the chart wrote into the network configuration when this pod started. */
export const mtuNow = (
  configured: number,
  settings: MtuSettings,
  pools: readonly IpPool[],
): number | undefined =>
  settings.physical !== undefined && configured === settings.asked
    ? askedNow(settings, encapsulationsOf(pools.map(({ spec }) => spec)))
    : undefined;

/** `changed`: tunnels stand on another address or size. */
export function openHost(
  parts: AgentParts,
  started: Started,
  view: DatastoreView,
  changed: () => void,
): NodeHost {
  // Without the pools nobody knows which headers there are.
  const look = (): void => {
    if (view.inSync) mtu.look();
  };
  const address = new AddressWatch(parts, started, () => {
    look();
    host.probe?.listen();
    changed();
  });
  const ipv6Address = new AddressWatch(parts, { ...started, ...started.ipv6 }, changed);
  const ip = (): Ip | undefined => address.current?.ip;
  const mtu: NodeMtu = new NodeMtu({
    ...parts,
    ...started,
    settings: parts.settings.mtu,
    pools: () => view.pools,
    felix: () => view.felixConfiguration,
    nodeAddress: ip,
    hostChanged: changed,
  });
  const host: NodeHost = {
    address,
    ipv6Address,
    mtu,
    probe: undefined,
    ip,
    follow: (nodes) => {
      look();
      const { probe } = parts.settings.mtu;
      const needed = () => mtu.state?.wire;
      if (probe) {
        const about = { node: started.node, nodes, nodeAddress: ip, needed };
        host.probe = new PathProbe({ ...parts, ...probe, ...about });
      }
      watchHost({
        ...parts,
        pollMilliseconds: parts.settings.addressPollMilliseconds,
        addresses: () => {
          address.wake();
          ipv6Address.wake();
        },
        links: look,
      });
    },
  };
  measureHost(parts.registry, host);
  return host;
}
