// The kernel port: links, addresses, routes, neighbours and sysctls of one network namespace, as
// values. Calls are synchronous (5-8 us each by netlink); making and deleting links waits.
// Twins: netns.io.ts (Linux) and memory.ts, both under kernel.cases.ts.
import type { OpError } from '../base/op-error.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `ipip`, `vxlan` ...; undefined for physical and loopback links. */
  readonly kind?: string | undefined;
  readonly mac?: Mac | undefined;
  readonly mtu: number;
  readonly up: boolean;
  /** Of a veth: the index of its other end, in that one's namespace. */
  readonly peerIndex?: number | undefined;
  /** Of a VXLAN device. */
  readonly vxlan?: VxlanSettings | undefined;
}

/** A VXLAN device (RFC 7348) is made with these; none can be changed later. */
export interface VxlanSettings {
  /** Network identifier, 24 bits. */
  readonly vni: number;
  /** UDP port that it sends to and listens on. */
  readonly port: number;
  /** The outer source address; its family is that of the outer packets. */
  readonly local: Ip;
  /** The link that carries the outer packets. */
  readonly parentIndex: number;
  /** Whether it learns hardware addresses from what arrives. */
  readonly learning: boolean;
}

/** A permanent neighbour: the hardware address of an address on a link. */
export interface Neighbour {
  readonly linkIndex: number;
  readonly ip: Ip;
  readonly mac: Mac;
}

/** An entry of a VXLAN device's forwarding table: frames to `mac` travel to `remote`. */
export interface ForwardingEntry {
  readonly linkIndex: number;
  readonly mac: Mac;
  readonly remote: Ip;
}

export interface InterfaceAddressOfLink {
  readonly linkIndex: number;
  readonly ip: Ip;
  readonly prefixLength: number;
  readonly scope: 'global' | 'link' | 'host';
}

/** One of several ways of a route. */
export interface RouteHop {
  /** May be IPv6 in an IPv4 route (RFC 8950). */
  readonly gateway?: Ip | undefined;
  readonly linkIndex: number;
  readonly onlink: boolean;
  /** Its share of the flows; absent means 1. */
  readonly weight?: number | undefined;
}

/** A route of the main table. Identity: destination and metric. An IPv6 route reads back with
 *  metric 1024 where it was added with 0, and as `link` where it has no gateway. */
export interface Route {
  readonly destination: Cidr;
  readonly kind: 'unicast' | 'blackhole';
  /** May be IPv6 in an IPv4 route (RFC 8950). */
  readonly gateway?: Ip | undefined;
  readonly linkIndex?: number | undefined;
  /** Two or more equal ways (ECMP), instead of gateway, link and onlink; in no order. */
  readonly hops?: readonly RouteHop[] | undefined;
  readonly scope: 'global' | 'link';
  readonly onlink: boolean;
  /** The ownership mark: 3 boot (pod routes), 12 bird (BGP and block routes), 80 (the overlay's). */
  readonly protocol: number;
  readonly metric: number;
}

export const ROUTE_PROTOCOL = { kernel: 2, boot: 3, bird: 12, overlay: 80 } as const;

export interface VethPair {
  readonly name: string;
  readonly peer: string;
  /** Path of the peer's network namespace. */
  readonly peerNetns: string;
  readonly mtu: number;
  readonly peerMac?: Mac | undefined;
}

/** Of one link, see the kernel's Documentation/networking/ip-sysctl. */
export interface Ipv4Settings {
  readonly forwarding: boolean;
  readonly proxyArp: boolean;
  /** 1: strict. */
  readonly rpFilter: 0 | 1 | 2;
}

/** One change; a batch of them travels in one send. */
export type LinkChange =
  | {
      readonly kind: 'setLink';
      readonly index: number;
      readonly up?: boolean;
      readonly mac?: Mac;
      readonly mtu?: number;
      /** Sysctls of `ipv4/conf/<link>`; in one message with the rest they cost nothing. */
      readonly ipv4?: Ipv4Settings;
      /** Links of a group can be removed together; 0 is every link's at first. */
      readonly group?: number;
    }
  | {
      readonly kind: 'addAddress';
      readonly linkIndex: number;
      readonly ip: Ip;
      readonly prefixLength: number;
      /** Of an IPv4 address: `link` is never the source of packets over other links. */
      readonly scope?: 'global' | 'link';
    }
  | {
      readonly kind: 'deleteAddress';
      readonly linkIndex: number;
      readonly ip: Ip;
      readonly prefixLength: number;
    }
  /** Fails with EEXIST (17) when the destination and metric are taken. */
  | { readonly kind: 'addRoute'; readonly route: Route }
  | { readonly kind: 'replaceRoute'; readonly route: Route }
  /** Removes a route that agrees in all that is named but scope and hops; absent is fine. */
  | { readonly kind: 'deleteRoute'; readonly route: Route }
  | ({ readonly kind: 'setNeighbour' } & Neighbour)
  /** Fails with ENOENT (2) when there is none. */
  | ({ readonly kind: 'deleteNeighbour' } & Pick<Neighbour, 'linkIndex' | 'ip'>)
  /** Replaces what there was for the hardware address. */
  | ({ readonly kind: 'setForwarding' } & ForwardingEntry)
  /** Fails with ENOENT (2) when there is none. */
  | ({ readonly kind: 'deleteForwarding' } & ForwardingEntry)
  /** An IP-in-IP device to everywhere; fails with EEXIST (17) when there is one of the name. */
  | { readonly kind: 'addIpip'; readonly name: string }
  /** Fails with EEXIST (17) when there is one of the name, or of the same VNI, port and
   *  family. */
  | {
      readonly kind: 'addVxlan';
      readonly name: string;
      readonly mac: Mac;
      readonly mtu: number;
      readonly vxlan: VxlanSettings;
    }
  /** What goes out by the link keeps to a rate (sch_tbf as its root qdisc, in place of another). */
  | ({ readonly kind: 'shapeLink'; readonly index: number } & LinkRate)
  /** Sysctl `ipv4/neigh/<link>/proxy_delay`: the longest random wait before a proxy's ARP answer. */
  | { readonly kind: 'setProxyDelay'; readonly linkIndex: number; readonly milliseconds: number };

/** A token bucket, as tc-tbf(8) has it. */
export interface LinkRate {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  /** How fast a burst may go; absent: as the link can. */
  readonly peak?: { readonly bytesPerSecond: number; readonly burstBytes: number } | undefined;
}

/** A change of a batch that the kernel refused. */
export interface Refusal {
  /** Its place in the batch. */
  readonly index: number;
  /** With errno. */
  readonly error: OpError;
}

/** What the kernel tells by itself. `lost`: some were missed, read everything anew. */
export type KernelEvent =
  | { readonly kind: 'link'; readonly link: Link; readonly gone: boolean }
  | { readonly kind: 'address'; readonly address: InterfaceAddressOfLink; readonly gone: boolean }
  | { readonly kind: 'route'; readonly route: Route; readonly gone: boolean }
  /** `gone`: there is none any more that is permanent. */
  | {
      readonly kind: 'neighbour';
      readonly neighbour: Pick<Neighbour, 'linkIndex' | 'ip'> & { readonly mac?: Mac | undefined };
      readonly gone: boolean;
    }
  | { readonly kind: 'forwarding'; readonly entry: ForwardingEntry; readonly gone: boolean }
  | { readonly kind: 'lost' };

export interface Kernel {
  links(): readonly Link[];
  link(name: string): Link | undefined;
  addresses(): readonly InterfaceAddressOfLink[];
  /** Permanent ones of a link. */
  neighbours(linkIndex: number): readonly Neighbour[];
  /** Of a VXLAN device. */
  forwarding(linkIndex: number): readonly ForwardingEntry[];
  /** Routes of the main table, optionally of one protocol or family. */
  routes(filter?: { readonly protocol?: number; readonly family?: Family }): readonly Route[];
  /**
   * The same routes part by part, for who has other things to do in between. What changes meanwhile
   * may be missing or double. End the iteration, or return from it, to free its socket.
   */
  routeParts(): Iterable<readonly Route[]>;
  /**
   * Makes the pair; the peer stands in its namespace, down. Answers the host end. Off the main
   * thread, because it takes half a millisecond and waits for whoever else changes links.
   */
  addVeth(pair: VethPair): Promise<Link>;
  /** In order, many in one send; a refusal does not keep the others from happening. Throws
   *  OpError (with errno) of the first refusal. */
  apply(changes: readonly LinkChange[]): void;
  /** The same, and answers every refusal; throws only when the kernel cannot be talked to. */
  applyEach(changes: readonly LinkChange[]): readonly Refusal[];
  /** As applyEach, off the main thread: it may wait long for whoever else changes links. */
  applyAside(changes: readonly LinkChange[]): Promise<readonly Refusal[]>;
  /** False: there was none. Takes about 15 ms of kernel time, off the main thread. */
  deleteLink(name: string): Promise<boolean>;
  /** All links of a group (not 0) in about the time of one; none is fine. Off the main thread. */
  deleteLinkGroup(group: number): Promise<void>;
  /** Whether the link leaves checksums of what it sends to hardware (ethtool's tx). */
  offloadsChecksums(link: string): boolean;
  setChecksumOffload(link: string, on: boolean): void;
  /** Writes `/proc/sys/net/<key>`, e.g. `ipv4/conf/calic440f455693/forwarding`. */
  setSysctl(key: string, value: string): void;
  getSysctl(key: string): string;
  /**
   * Calls back on the main loop until the signal fires; of neighbours and forwarding only if asked.
   * Who says no to `ownRoutes` need not be told of routes that this kernel's own changes made or removed.
   */
  subscribe(
    listener: (event: KernelEvent) => void,
    signal: AbortSignal,
    also?: { readonly neighbours?: boolean; readonly ownRoutes?: boolean },
  ): void;
  /** The kernel as seen from inside another namespace; throws OpError (ENOENT 2) if it is gone. */
  enter(netnsPath: string): Kernel;
  close(): void;
}
