// Tunnel devices of the memory twin, and neighbours and forwarding entries.
import { OpError } from '../../base/op-error.ts';
import { familyOf } from '../../net/ip.ts';
import type { Link, LinkChange, VxlanSettings } from '../kernel.ts';
import { type Namespace, tell } from './namespace.ts';

type Change = Extract<
  LinkChange,
  { kind: 'setNeighbour' | 'deleteNeighbour' | 'setForwarding' | 'deleteForwarding' }
>;

const ENOENT = 2;
const EEXIST = 17;

/** A new device, down; two of one name, or of one VNI, port and family, cannot be. */
export function newTunnel(
  { links }: Namespace,
  change: Extract<LinkChange, { kind: 'addIpip' | 'addVxlan' }>,
): Omit<Link, 'index'> {
  const { name } = change;
  const vxlan = change.kind === 'addVxlan' ? change.vxlan : undefined;
  const isRival = (link: Link): boolean =>
    link.name === name ||
    (vxlan !== undefined && link.vxlan !== undefined && placeOf(vxlan) === placeOf(link.vxlan));
  if ([...links.values()].some(isRival)) throw new OpError(`add ${name}`, 'exists', EEXIST);
  if (change.kind === 'addIpip') return { name, kind: 'ipip', mtu: 1480, up: false };
  return { name, kind: 'vxlan', mac: change.mac, mtu: change.mtu, vxlan, up: false };
}

const placeOf = ({ vni, port, local }: VxlanSettings): string =>
  [vni, port, familyOf(local)].join();

/** The link is there. */
export function changeNeighbour(namespace: Namespace, change: Change): void {
  const { kind, linkIndex } = change;
  if (kind === 'setNeighbour' || kind === 'deleteNeighbour') {
    const { ip } = change;
    const rest = namespace.neighbours.filter((n) => n.linkIndex !== linkIndex || n.ip !== ip);
    const gone = kind === 'deleteNeighbour';
    if (gone && rest.length === namespace.neighbours.length) throw absent(ip);
    const mac = gone ? undefined : change.mac;
    namespace.neighbours = mac ? [...rest, { linkIndex, ip, mac }] : rest;
    tell(namespace, { kind: 'neighbour', neighbour: { linkIndex, ip, mac }, gone });
    return;
  }
  const { mac, remote } = change;
  const gone = kind === 'deleteForwarding';
  const rest = namespace.forwarding.filter(
    (entry) =>
      entry.linkIndex !== linkIndex || entry.mac !== mac || (gone && entry.remote !== remote),
  );
  if (gone && rest.length === namespace.forwarding.length) throw absent(mac);
  const entry = { linkIndex, mac, remote };
  namespace.forwarding = gone ? rest : [...rest, entry];
  tell(namespace, { kind: 'forwarding', entry, gone });
}

const absent = (what: string): OpError => new OpError(`delete ${what}`, 'no such file', ENOENT);
