// The BFD sessions that belong to the BGP sessions of a node.
import { type DesiredPeer, endpointOf } from '../../bgp/peers.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { BfdPeer } from './bfd.io.ts';

/** `own`: the node's addresses. A peer without an address of ours that fits is left out. */
export const bfdPeersOf = (peers: readonly DesiredPeer[], own: readonly Ip[]): readonly BfdPeer[] =>
  peers.flatMap((peer) => {
    const { bfd, address, localAddress, ttlSecurityHops } = peer;
    const local = localAddress ?? own.find((ip) => familyOf(ip) === familyOf(address));
    if (!bfd || !local) return [];
    const { transmitMs, receiveMs, multiplier, multihop } = bfd;
    return [
      {
        key: endpointOf(peer),
        localAddress: local,
        remoteAddress: address,
        multihop,
        transmitMs,
        receiveMs,
        multiplier,
        ...(multihop && ttlSecurityHops ? { hopsMax: ttlSecurityHops } : {}),
      },
    ];
  });
