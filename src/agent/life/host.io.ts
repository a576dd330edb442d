// This machine as the cluster sees it: the node's address and its MTU, looked after from the start on.
import { Gauge, type Registry } from '../../base/metrics.io.ts';
import type { Ip } from '../../net/ip.ts';
import type { AgentParts } from '../agent.io.ts';
import { NodeMtu } from '../mtu/node-mtu.io.ts';
import type { MtuSettings } from '../mtu/settings.ts';
import { AddressWatch } from '../start-up/address-watch.io.ts';
import type { Started } from '../start-up.io.ts';
import type { DatastoreView } from '../view.ts';
import { watchHost } from './host-watch.io.ts';

export interface NodeHost {
  readonly address: AddressWatch;
  readonly mtu: NodeMtu;
  /** The node's address now. */
  ip(): Ip | undefined;
  /** From now on changes are heard. */
  follow(): void;
}

/** Octets, where nothing is known. */
const OTHERWISE_MTU = 1500;

/** What pods get whose network configuration names no MTU. */
export const podMtuOf = ({ mtu }: NodeHost, { asked }: MtuSettings): number =>
  mtu.state?.podMtu ?? asked ?? OTHERWISE_MTU;

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
    changed();
  });
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
  measure(parts.registry, mtu);
  return {
    address,
    mtu,
    ip,
    follow: () => {
      look();
      watchHost({
        ...parts,
        pollMilliseconds: parts.settings.addressPollMilliseconds,
        addresses: () => address.wake(),
        links: look,
      });
    },
  };
}

function measure(registry: Registry, mtu: NodeMtu): void {
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read();
        if (value === undefined) this.reset();
        else this.set(value);
      },
    });
  };
  gauge('calico_host_mtu_bytes', 'MTU of the interface to other nodes that carries least', () => {
    return mtu.state?.host.mtu;
  });
  gauge('calico_pod_mtu_bytes', 'MTU of pods whose network configuration names none', () => {
    return mtu.state?.podMtu;
  });
  gauge('calico_mtu_mismatch', '1: what is configured does not fit through the interfaces', () =>
    mtu.state?.problem ? 1 : 0,
  );
}
