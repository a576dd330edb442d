// One network namespace of the memory twin.
import { type Cidr, hostCidr } from '../../net/cidr.ts';
import type {
  ForwardingEntry,
  InterfaceAddressOfLink,
  Ipv4Settings,
  KernelEvent,
  Link,
  Neighbour,
  Route,
} from '../kernel.ts';
import { linksOf } from './routes.ts';

export interface Namespace {
  links: Map<number, Link>;
  addresses: InterfaceAddressOfLink[];
  routes: Route[];
  neighbours: readonly Neighbour[];
  forwarding: readonly ForwardingEntry[];
  /** Links whose checksums hardware does not make. */
  readonly plainChecksums: Set<number>;
  readonly sysctls: Map<string, string>;
  /** By link: the group it was put into. */
  readonly groups: Map<number, number>;
  readonly peers: Map<number, { readonly namespace: Namespace; readonly index: number }>;
  readonly listeners: Set<(event: KernelEvent) => void>;
}

const loopback: Link = { index: 1, name: 'lo', mtu: 65536, up: false };
export const emptyNamespace = (): Namespace => ({
  links: new Map([[1, loopback]]),
  addresses: [],
  routes: [],
  neighbours: [],
  forwarding: [],
  plainChecksums: new Set(),
  sysctls: new Map(),
  groups: new Map(),
  peers: new Map(),
  listeners: new Set(),
});

export const sysctlsOf = (ipv4: Ipv4Settings | undefined): Readonly<Record<string, string>> =>
  ipv4
    ? {
        forwarding: String(Number(ipv4.forwarding)),
        proxy_arp: String(Number(ipv4.proxyArp)),
        rp_filter: String(ipv4.rpFilter),
      }
    : {};

export function tell(namespace: Namespace, event: KernelEvent): void {
  for (const listener of namespace.listeners) queueMicrotask(() => listener(event));
}

export function putLink(namespace: Namespace, link: Link): void {
  namespace.links.set(link.index, link);
  tell(namespace, { kind: 'link', link, gone: false });
}

/** Like Linux, which tells of the link and its addresses but not of the routes that go with it. */
export function removeLink(namespace: Namespace, index: number): void {
  const link = namespace.links.get(index);
  if (!link) return;
  namespace.links.delete(index);
  namespace.groups.delete(index);
  namespace.neighbours = namespace.neighbours.filter((n) => n.linkIndex !== index);
  namespace.forwarding = namespace.forwarding.filter((entry) => entry.linkIndex !== index);
  namespace.plainChecksums.delete(index);
  for (const address of namespace.addresses.filter((a) => a.linkIndex === index))
    tell(namespace, { kind: 'address', address, gone: true });
  tell(namespace, { kind: 'link', link, gone: true });
  const own: ReadonlySet<Cidr> = new Set(
    namespace.addresses.filter((a) => a.linkIndex === index).map((a) => hostCidr(a.ip)),
  );
  namespace.addresses = namespace.addresses.filter((a) => a.linkIndex !== index);
  namespace.routes = namespace.routes.filter(
    (r) => !linksOf(r).includes(index) && !own.has(r.destination),
  );
  const peer = namespace.peers.get(index);
  namespace.peers.delete(index);
  if (peer) removeLink(peer.namespace, peer.index);
}

/** Like Linux: with its last IPv4 address a link loses its IPv4 routes, without a word. */
export function dropWithoutAddress(namespace: Namespace, index: number): void {
  const isIpv4 = (text: string): boolean => !text.includes(':');
  if (namespace.addresses.some((a) => a.linkIndex === index && isIpv4(a.ip))) return;
  namespace.routes = namespace.routes.filter(
    (route) => route.linkIndex !== index || !isIpv4(route.destination),
  );
}
