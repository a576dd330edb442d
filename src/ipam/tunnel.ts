// A node's tunnel addresses: under handles that name the node, so that a node which starts again
// finds the ones it has.
import type { Family, Ip } from '../net/ip.ts';
import type { Allocator } from './allocator.io.ts';
import type { AlongsideWrites, AssignOutcome } from './request.ts';

export type Tunnel = 'ipip' | 'vxlan' | 'vxlanV6' | 'wireguard' | 'wireguardV6';

interface TunnelFacts {
  readonly family: Family;
  readonly handle: string;
  /** The attribute `type`. */
  readonly type: string;
}

const TUNNELS: Readonly<Record<Tunnel, TunnelFacts>> = {
  ipip: { family: 4, handle: 'ipip-tunnel-addr', type: 'ipipTunnelAddress' },
  vxlan: { family: 4, handle: 'vxlan-tunnel-addr', type: 'vxlanTunnelAddress' },
  vxlanV6: { family: 6, handle: 'vxlan-v6-tunnel-addr', type: 'vxlanV6TunnelAddress' },
  wireguard: { family: 4, handle: 'wireguard-tunnel-addr', type: 'wireguardTunnelAddress' },
  wireguardV6: { family: 6, handle: 'wireguard-v6-tunnel-addr', type: 'wireguardV6TunnelAddress' },
};

export const tunnelHandle = (tunnel: Tunnel, node: string): string =>
  `${TUNNELS[tunnel].handle}-${node}`;

export interface TunnelRequest {
  readonly tunnel: Tunnel;
  readonly node: string;
  /** Pools with that encapsulation, by name or CIDR; empty: any pool that selects the node. */
  readonly pools?: readonly string[];
  /** E.g. the Node with the address in it. Called again on every retry. */
  alongside(ips: readonly Ip[]): AlongsideWrites;
}

/** The address that the node has for the tunnel, or a new one; idempotent. */
export function assignTunnelAddress(
  allocator: Allocator,
  { tunnel, node, pools = [], alongside }: TunnelRequest,
): Promise<AssignOutcome> {
  const { family, type } = TUNNELS[tunnel];
  return allocator.assign({
    handleId: tunnelHandle(tunnel, node),
    attributes: { node, type },
    count4: family === 4 ? 1 : 0,
    count6: family === 6 ? 1 : 0,
    pools4: pools,
    pools6: pools,
    use: 'Tunnel',
    alongside,
  });
}
