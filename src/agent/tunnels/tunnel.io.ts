// One tunnel device of the node: up, with its MTU, as long as there is a pool of its encapsulation, and with
// the node's tunnel address where such a pool selects the node. What differs between IP-in-IP and VXLAN is their driver's. Routes over it are others' affair.
import type { Clock, Milliseconds } from '../../base/clock.ts';
import type { Kernel, KernelEvent, Link, LinkChange } from '../../kernel/kernel.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import type { Encapsulation } from '../../model/mtu.ts';
import { nodeAddress } from '../../model/node.ts';
import { TUNNEL_DEVICES, TUNNEL_FAMILY, tunnelRecord } from '../../model/tunnel.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import {
  ensureTunnelAddress,
  releaseTunnelAddress,
  type StoredNode,
  type TunnelAddressParts,
  tellsOfDevice,
  withoutTunnelAddress,
} from './own-node.io.ts';
import { enabledOf, selecting, tunnelMtu, tunnelPools } from './wanted.ts';

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
  /** Undefined: no address. */
  readonly own: Ip | undefined;
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
  private isMissing = false;
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
    const pools = tunnelPools(tunnel, this.parts.pools());
    if (pools.length === 0) return this.tearDown(stored);
    this.leftAt = undefined;
    const carrier = this.carrier(stored);
    this.carrierIndex = carrier.link?.index;
    const mtu = tunnelMtu(tunnel, this.parts.mtu(tunnel), carrier.link?.mtu);
    const link = await this.driver.device(carrier, mtu, stored);
    const own = selecting(pools, stored.node.metadata.labels ?? {});
    this.isMissing = typeof link === 'string';
    // Of the others the routes say that they cannot be.
    this.problem = typeof link === 'string' && own.length > 0 ? link : undefined;
    if (typeof link === 'string') return undefined;
    this.index = link.index;
    const mac = this.driver.mac?.(stored);
    this.setDevice(link, { mtu, mac, own: await this.address(stored, own, mac) });
    this.driver.ready?.(link);
    return undefined;
  }

  /** Out of the pools that select the node; one that it has is kept as long as there are any. */
  private async address(
    stored: StoredNode,
    pools: readonly IpPool[],
    mac: Mac | undefined,
  ): Promise<Ip | undefined> {
    const { tunnel } = this.driver;
    const { address } = tunnelRecord(stored.node.spec, tunnel);
    const wanted = { tunnel, stored, pools, mac };
    const usable = address === undefined ? enabledOf(pools) : pools;
    if (usable.length > 0) return ensureTunnelAddress(this.parts, wanted);
    await withoutTunnelAddress(this.parts, wanted);
    return undefined;
  }

  private carrier({ node }: StoredNode): Carrier {
    const address = nodeAddress(node.spec, TUNNEL_FAMILY[this.driver.tunnel])?.ip;
    const { kernel } = this.parts;
    const own = kernel.addresses().find(({ ip }) => ip === address);
    return { address, link: kernel.links().find(({ index }) => index === own?.linkIndex) };
  }

  private async tearDown(stored: StoredNode): Promise<Milliseconds | undefined> {
    this.problem = undefined;
    this.isMissing = false;
    const { kernel, clock } = this.parts;
    const isTold = tellsOfDevice(stored, this.driver.tunnel);
    const link = kernel.link(this.name);
    // The kernel's own device may serve others.
    const isOurs = isTold || this.index !== undefined || this.driver.mac;
    if (!isTold && !(link && isOurs)) return undefined;
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
    await releaseTunnelAddress(this.parts, this.driver.tunnel, stored);
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
    const prefixLength = TUNNEL_FAMILY[this.driver.tunnel] === 4 ? 32 : 128;
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
      ...(isThere || !own
        ? []
        : [{ kind: 'addAddress', linkIndex: link.index, ip: own, prefixLength } as const]),
    ]);
  }

  /** Whether what the kernel tells has to do with the device. */
  concerns(event: KernelEvent): boolean {
    if (event.kind === 'lost') return true;
    if (event.kind === 'link')
      return event.link.name === this.name || event.link.index === this.carrierIndex;
    return event.kind === 'address' && (this.isMissing || event.address.linkIndex === this.index);
  }
}
