// One tunnel device of the node: up, with its MTU and the node's tunnel address, as long as a pool wants
// it. What differs between IP-in-IP and VXLAN is their driver's. Routes over it are others' affair.
import type { Clock, Milliseconds } from '../../base/clock.ts';
import type { Kernel, KernelEvent, Link, LinkChange } from '../../kernel/kernel.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import type { Encapsulation } from '../../model/mtu.ts';
import { TUNNEL_DEVICES, TUNNEL_FAMILY, tunnelRecord } from '../../model/tunnel.ts';
import { parseInterfaceAddress } from '../../net/cidr.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import {
  ensureTunnelAddress,
  releaseTunnelAddress,
  type StoredNode,
  type TunnelAddressParts,
} from './own-node.io.ts';
import { enabledOf, tunnelMtu, tunnelPools } from './wanted.ts';

/** Other nodes may need so long to hear that a pool has left the tunnel; until then they use it. */
const LINGER_MILLISECONDS: Milliseconds = 1000;

/** The link that carries the tunnel's packets. */
export interface Carrier {
  readonly link: Link | undefined;
  /** The node's own address on it. */
  readonly address: Ip | undefined;
}

export interface TunnelDriver {
  readonly tunnel: Encapsulation;
  /** Of the device; undefined: the kernel's own affair. */
  mac?(stored: StoredNode): Mac;
  /** The device, made if it is not there; a text: why there is none. */
  device(carrier: Carrier, mtu: number, stored: StoredNode): Promise<Link | string>;
  /** The device is as it shall be. */
  ready?(link: Link): void;
  /** Nobody wants it any more. */
  remove(link: Link): Promise<void>;
}

interface WantedDevice {
  readonly mtu: number;
  readonly mac: Mac | undefined;
  readonly own: Ip;
}

export interface TunnelParts extends TunnelAddressParts {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly pools: () => readonly IpPool[];
  /** Octets, as they are set; undefined: what the link leaves. */
  readonly mtu: (tunnel: Encapsulation) => number | undefined;
}

export class TunnelDevice {
  readonly driver: TunnelDriver;
  /** Why there is no device although a pool wants one. */
  problem: string | undefined;
  private readonly parts: TunnelParts;
  private readonly name: string;
  private index: number | undefined;
  private carrierIndex: number | undefined;
  /** When the last pool went. */
  private leftAt: Milliseconds | undefined;

  constructor(parts: TunnelParts, driver: TunnelDriver) {
    this.parts = parts;
    this.driver = driver;
    this.name = TUNNEL_DEVICES[driver.tunnel];
  }

  /** Makes everything right; answers when to look again, if that is known. */
  async makeRight(stored: StoredNode): Promise<Milliseconds | undefined> {
    const { tunnel } = this.driver;
    const { labels = {} } = stored.node.metadata;
    const pools = tunnelPools(tunnel, this.parts.pools(), labels);
    const { address } = tunnelRecord(stored.node.spec, tunnel);
    const isWanted = pools.length > 0 && (address !== undefined || enabledOf(pools).length > 0);
    if (!isWanted) return this.tearDown(stored, address);
    this.leftAt = undefined;
    const carrier = this.carrier(stored);
    this.carrierIndex = carrier.link?.index;
    const mtu = tunnelMtu(tunnel, this.parts.mtu(tunnel), carrier.link?.mtu);
    const link = await this.driver.device(carrier, mtu, stored);
    this.problem = typeof link === 'string' ? link : undefined;
    if (typeof link === 'string') return undefined;
    this.index = link.index;
    const mac = this.driver.mac?.(stored);
    const own = await ensureTunnelAddress(this.parts, { tunnel, stored, pools, mac });
    this.setDevice(link, { mtu, mac, own });
    this.driver.ready?.(link);
    return undefined;
  }

  private carrier({ node }: StoredNode): Carrier {
    const { ipv4Address, ipv6Address } = node.spec.bgp ?? {};
    const text = TUNNEL_FAMILY[this.driver.tunnel] === 4 ? ipv4Address : ipv6Address;
    const address = parseInterfaceAddress(text ?? '')?.ip;
    const { kernel } = this.parts;
    const own = kernel.addresses().find(({ ip }) => ip === address);
    return { address, link: kernel.links().find(({ index }) => index === own?.linkIndex) };
  }

  private async tearDown(
    stored: StoredNode,
    address: string | undefined,
  ): Promise<Milliseconds | undefined> {
    this.problem = undefined;
    const { kernel, clock } = this.parts;
    const link = kernel.link(this.name);
    // The kernel's own device may serve others.
    const isOurs = address !== undefined || this.index !== undefined || this.driver.mac;
    if (address === undefined && !(link && isOurs)) return undefined;
    this.leftAt ??= clock.now();
    const left = this.leftAt + LINGER_MILLISECONDS - clock.now();
    if (link && left > 0) return left;
    if (link) {
      kernel.apply(
        this.addressesOn(link.index).map(
          (present) => ({ kind: 'deleteAddress', ...present }) as const,
        ),
      );
      await this.driver.remove(link);
    }
    this.index = undefined;
    if (address !== undefined) await releaseTunnelAddress(this.parts, this.driver.tunnel, stored);
    return undefined;
  }

  /** Global ones of the tunnel's family. */
  private addressesOn(linkIndex: number) {
    const family = TUNNEL_FAMILY[this.driver.tunnel];
    return this.parts.kernel
      .addresses()
      .filter((a) => a.linkIndex === linkIndex && familyOf(a.ip) === family && a.scope !== 'link')
      .map(({ ip, prefixLength }) => ({ linkIndex, ip, prefixLength }));
  }

  private setDevice(link: Link, { mtu, mac = link.mac, own }: WantedDevice): void {
    const prefixLength = familyOf(own) === 4 ? 32 : 128;
    const present = this.addressesOn(link.index);
    const wrong = present.filter((a) => a.ip !== own || a.prefixLength !== prefixLength);
    const isThere = present.length > wrong.length;
    const isUp = link.up && link.mtu === mtu && link.mac === mac;
    const set: LinkChange = {
      kind: 'setLink',
      index: link.index,
      mtu,
      up: true,
      ...(mac && mac !== link.mac ? { mac } : {}),
    };
    this.parts.kernel.apply([
      ...(isUp ? [] : [set]),
      ...wrong.map((address) => ({ kind: 'deleteAddress', ...address }) as const),
      ...(isThere
        ? []
        : [{ kind: 'addAddress', linkIndex: link.index, ip: own, prefixLength } as const]),
    ]);
  }

  /** Whether what the kernel tells has to do with the device. */
  concerns(event: KernelEvent): boolean {
    if (event.kind === 'lost') return true;
    if (event.kind === 'link')
      return event.link.name === this.name || event.link.index === this.carrierIndex;
    if (event.kind !== 'address') return false;
    return event.gone ? event.address.linkIndex === this.index : this.problem !== undefined;
  }
}
