// Ports of a host that no policy closes, so that a mistake does not shut its operator out.
import type { ProtocolPort } from '../../model/felix-configuration.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';

export interface Failsafe {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
  /** Undefined: everybody's packets, of both families. */
  readonly net: Cidr | undefined;
}

/** Both directions of a connection's first packet, as the host sees it. */
export interface Failsafes {
  readonly inbound: readonly Failsafe[];
  readonly outbound: readonly Failsafe[];
}

const open = (protocol: Failsafe['protocol'], ...ports: number[]): readonly Failsafe[] =>
  ports.map((port) => ({ protocol, port, net: undefined }));

/** BGP, etcd (also on the ports of calico-etcd), Typha, and the API server. */
const CLUSTER = open('tcp', 179, 2379, 2380, 5473, 6443, 6666, 6667);

/** Felix's defaults: with SSH and DHCP in, with DNS and DHCP out. */
export const FAILSAFES: Failsafes = {
  inbound: [...open('tcp', 22), ...open('udp', 68), ...CLUSTER],
  outbound: [...open('udp', 53, 67), ...CLUSTER],
};

/** The configured ones; what names no port or protocol is left out. */
export const failsafesOf = (ports: readonly ProtocolPort[]): readonly Failsafe[] =>
  ports.flatMap(({ protocol, port, net }) => {
    const name = (['tcp', 'udp', 'sctp'] as const).find((one) => one === protocol.toLowerCase());
    const good = Number.isInteger(port) && port >= 0 && port <= 65535;
    const cidr = net ? parseCidr(net) : undefined;
    return name && good && (cidr || !net) ? [{ protocol: name, port, net: cidr }] : [];
  });
