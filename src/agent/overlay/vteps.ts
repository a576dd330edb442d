// Other nodes' VXLAN devices, and what the own device must know of each: whose hardware address an address
// has (neighbour), and to which node frames for a hardware address travel (forwarding). Pure.
import type { ForwardingEntry, LinkChange, Neighbour } from '../../kernel/kernel.ts';
import { type NodeSpec, nodeAddress } from '../../model/node.ts';
import { tunnelRecord, vxlanMac } from '../../model/tunnel.ts';
import { type Family, familyOf, type Ip, parseIp } from '../../net/ip.ts';
import { type Mac, parseMac } from '../../net/mac.ts';

export interface Vtep {
  /** The node's own address, which outer packets travel to. */
  readonly node: Ip;
  /** Of the device. */
  readonly ip: Ip;
  readonly mac: Mac;
}

/** Undefined: the node has no such device. */
export function vtepOf(name: string, spec: NodeSpec, family: Family): Vtep | undefined {
  const record = tunnelRecord(spec, family === 4 ? 'vxlan' : 'vxlanV6');
  const ip = parseIp(record.address ?? '');
  const node = nodeAddress(spec, family)?.ip;
  if (!ip || !node || familyOf(ip) !== family) return undefined;
  return { node, ip, mac: parseMac(record.mac ?? '') ?? vxlanMac(name, family) };
}

export interface DeviceEntries {
  readonly neighbours: readonly Neighbour[];
  readonly forwarding: readonly ForwardingEntry[];
}

/** What makes the device's entries those of the others' devices, and no others: all of them are ours. */
export function vtepChanges(
  linkIndex: number,
  wanted: readonly Vtep[],
  present: DeviceEntries,
): readonly LinkChange[] {
  const macs = new Map(wanted.map(({ ip, mac }) => [ip, mac]));
  const remotes = new Map(wanted.map(({ mac, node }) => [mac, node]));
  const knows = new Map(present.neighbours.map(({ ip, mac }) => [ip, mac]));
  const sends = new Set(present.forwarding.map(({ mac, remote }) => `${mac} ${remote}`));
  return [
    ...[...remotes].flatMap(([mac, remote]): LinkChange[] =>
      sends.has(`${mac} ${remote}`) ? [] : [{ kind: 'setForwarding', linkIndex, mac, remote }],
    ),
    ...[...macs].flatMap(([ip, mac]): LinkChange[] =>
      knows.get(ip) === mac ? [] : [{ kind: 'setNeighbour', linkIndex, ip, mac }],
    ),
    ...present.neighbours.flatMap(({ ip }): LinkChange[] =>
      macs.has(ip) ? [] : [{ kind: 'deleteNeighbour', linkIndex, ip }],
    ),
    // An entry of a hardware address that is wanted with another remote was replaced.
    ...present.forwarding.flatMap(({ mac, remote }): LinkChange[] =>
      remotes.has(mac) ? [] : [{ kind: 'deleteForwarding', linkIndex, mac, remote }],
    ),
  ];
}
