// The kernel's memory twin, as far as callers can see. Namespaces must be made first, as on Linux.
import { OpError } from '../base/op-error.ts';
import { mac } from '../net/mac.ts';
import type {
  ForwardingEntry,
  InterfaceAddressOfLink,
  Kernel,
  KernelEvent,
  Link,
  LinkChange,
  Neighbour,
  Refusal,
  Route,
  VethPair,
} from './kernel.ts';
import {
  dropWithoutAddress,
  emptyNamespace,
  type Namespace,
  putLink,
  removeLink,
  sysctlsOf,
  tell,
} from './memory/namespace.ts';
import { agrees, linkFor, sameIdentity, storedAs } from './memory/routes.ts';
import { changeNeighbour, newTunnel } from './memory/tunnels.ts';

export interface MemoryKernel extends Kernel {
  /** Makes an empty namespace (with a loopback) at `path`. */
  addNetns(path: string): void;
  /** Removes a namespace and the links inside; their other ends go too. */
  removeNetns(path: string): void;
  /** A physical link with an address, for tests of detection. */
  addLink(
    link: Omit<Link, 'index'>,
    addresses?: readonly Omit<InterfaceAddressOfLink, 'linkIndex'>[],
  ): Link;
}

interface Machine {
  readonly namespaces: Map<string, Namespace>;
  nextIndex: number;
}

const EEXIST = 17;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

export function memoryKernel(): MemoryKernel {
  const machine: Machine = { namespaces: new Map(), nextIndex: 2 };
  return new Memory(machine, emptyNamespace());
}

class Memory implements MemoryKernel {
  private readonly machine: Machine;
  private readonly namespace: Namespace;

  constructor(machine: Machine, namespace: Namespace) {
    this.machine = machine;
    this.namespace = namespace;
  }

  addNetns(path: string): void {
    this.machine.namespaces.set(path, emptyNamespace());
  }

  removeNetns(path: string): void {
    const gone = this.machine.namespaces.get(path);
    this.machine.namespaces.delete(path);
    for (const index of [...(gone?.links.keys() ?? [])]) if (gone) removeLink(gone, index);
  }

  addLink(
    link: Omit<Link, 'index'>,
    addresses: readonly Omit<InterfaceAddressOfLink, 'linkIndex'>[] = [],
  ): Link {
    const made = { ...link, index: this.machine.nextIndex++ };
    this.namespace.links.set(made.index, made);
    for (const address of addresses)
      this.namespace.addresses.push({ ...address, linkIndex: made.index });
    return made;
  }

  links = (): readonly Link[] => [...this.namespace.links.values()];
  link = (name: string): Link | undefined => this.links().find((link) => link.name === name);
  addresses = (): readonly InterfaceAddressOfLink[] => [...this.namespace.addresses];
  neighbours = (linkIndex: number): readonly Neighbour[] =>
    this.namespace.neighbours.filter((neighbour) => neighbour.linkIndex === linkIndex);
  forwarding = (linkIndex: number): readonly ForwardingEntry[] =>
    this.namespace.forwarding.filter((entry) => entry.linkIndex === linkIndex);

  routes(filter: Parameters<Kernel['routes']>[0] = {}): readonly Route[] {
    return this.namespace.routes.filter(
      (route) =>
        (filter.protocol === undefined || route.protocol === filter.protocol) &&
        (filter.family === undefined || (filter.family === 6) === route.destination.includes(':')),
    );
  }

  *routeParts(): Generator<readonly Route[]> {
    const routes = this.routes();
    for (let at = 0; at < routes.length; at += 2) yield routes.slice(at, at + 2);
  }

  async addVeth(pair: VethPair): Promise<Link> {
    const inside = this.namespaceAt(pair.peerNetns);
    const taken =
      this.link(pair.name) ?? [...inside.links.values()].find((l) => l.name === pair.peer);
    if (taken) throw new OpError(`add veth ${pair.name}`, 'exists', EEXIST);
    const [index, peerIndex] = [this.machine.nextIndex++, this.machine.nextIndex++];
    const host: Link = {
      index,
      peerIndex,
      name: pair.name,
      kind: 'veth',
      mtu: pair.mtu,
      mac: mac('02:00:00:00:00:01'),
      up: false,
    };
    const peer: Link = {
      ...host,
      index: peerIndex,
      peerIndex: index,
      name: pair.peer,
      mac: pair.peerMac ?? mac('02:00:00:00:00:02'),
    };
    putLink(this.namespace, host);
    putLink(inside, peer);
    this.namespace.peers.set(host.index, { namespace: inside, index: peer.index });
    inside.peers.set(peer.index, { namespace: this.namespace, index: host.index });
    return host;
  }

  apply(changes: readonly LinkChange[]): void {
    const [refused] = this.applyEach(changes);
    if (refused) throw refused.error;
  }

  async applyAside(changes: readonly LinkChange[]): Promise<readonly Refusal[]> {
    return this.applyEach(changes);
  }

  applyEach(changes: readonly LinkChange[]): readonly Refusal[] {
    return changes.flatMap((change, index) => {
      try {
        this.applyOne(change);
        return [];
      } catch (cause) {
        return [{ index, error: cause as OpError }];
      }
    });
  }

  private applyOne(change: LinkChange): void {
    const { namespace } = this;
    switch (change.kind) {
      case 'setLink': {
        const link = this.linkAt(change.index);
        const { up = link.up, mac = link.mac, mtu = link.mtu } = change;
        // As Linux, without a word; one of several ways stays with the others.
        if (!up) namespace.routes = namespace.routes.filter((r) => r.linkIndex !== link.index);
        putLink(namespace, { ...link, up, mac, mtu });
        for (const [name, value] of Object.entries(sysctlsOf(change.ipv4)))
          namespace.sysctls.set(`ipv4/conf/${link.name}/${name}`, value);
        if (change.group !== undefined) namespace.groups.set(link.index, change.group);
        return;
      }
      case 'addAddress': {
        this.linkAt(change.linkIndex);
        const { linkIndex, ip, prefixLength, scope = 'global' } = change;
        if (namespace.addresses.some((a) => a.ip === ip && a.linkIndex === linkIndex))
          throw new OpError(`add address ${ip}`, 'exists', EEXIST);
        const address = { linkIndex, ip, prefixLength, scope };
        namespace.addresses.push(address);
        tell(namespace, { kind: 'address', address, gone: false });
        return;
      }
      case 'deleteAddress': {
        const { linkIndex, ip } = change;
        const at = namespace.addresses.findIndex((a) => a.ip === ip && a.linkIndex === linkIndex);
        if (at < 0) throw new OpError(`delete address ${ip}`, 'not available', EADDRNOTAVAIL);
        const [address] = namespace.addresses.splice(at, 1);
        if (address) tell(namespace, { kind: 'address', address, gone: true });
        dropWithoutAddress(namespace, linkIndex);
        return;
      }
      case 'addRoute':
      case 'replaceRoute':
        this.putRoute(change.route, change.kind === 'replaceRoute');
        return;
      case 'deleteRoute':
        this.removeRoutes((route) => agrees(route, change.route));
        return;
      case 'setNeighbour':
      case 'deleteNeighbour':
      case 'setForwarding':
      case 'deleteForwarding':
        this.linkAt(change.linkIndex);
        changeNeighbour(namespace, change);
        return;
      case 'addIpip':
      case 'addVxlan':
        if (change.kind === 'addVxlan') this.linkAt(change.vxlan.parentIndex);
        putLink(namespace, { ...newTunnel(namespace, change), index: this.machine.nextIndex++ });
        return;
      case 'shapeLink':
        this.linkAt(change.index); // it has no traffic
        return;
      case 'setProxyDelay':
        namespace.sysctls.set(...proxyDelay(this.linkAt(change.linkIndex), change.milliseconds));
    }
  }

  private putRoute(route: Route, replace: boolean): void {
    const link = linkFor(route, (index) => this.linkAt(index), this.namespace.addresses);
    const { routes } = this.namespace;
    const at = routes.findIndex((present) => sameIdentity(present, route));
    if (at >= 0 && !replace) throw new OpError(`add route ${route.destination}`, 'exists', EEXIST);
    const stored = storedAs(route, link);
    if (at >= 0) routes.splice(at, 1, stored);
    else routes.push(stored);
    tell(this.namespace, { kind: 'route', route: stored, gone: false });
  }

  private removeRoutes(gone: (route: Route) => boolean): void {
    const removed = this.namespace.routes.filter(gone);
    this.namespace.routes = this.namespace.routes.filter((route) => !gone(route));
    for (const route of removed) tell(this.namespace, { kind: 'route', route, gone: true });
  }

  async deleteLink(name: string): Promise<boolean> {
    const link = this.link(name);
    if (link) removeLink(this.namespace, link.index);
    return link !== undefined;
  }

  async deleteLinkGroup(group: number): Promise<void> {
    for (const [index, of] of [...this.namespace.groups])
      if (of === group && this.namespace.links.has(index)) removeLink(this.namespace, index);
  }

  offloadsChecksums = (name: string): boolean =>
    !this.namespace.plainChecksums.has(this.named(name).index);

  setChecksumOffload(name: string, on: boolean): void {
    const { index } = this.named(name);
    if (on) this.namespace.plainChecksums.delete(index);
    else this.namespace.plainChecksums.add(index);
  }

  setSysctl = (key: string, value: string): void => void this.namespace.sysctls.set(key, value);
  getSysctl = (key: string): string => this.namespace.sysctls.get(key) ?? '0';

  subscribe(
    listener: (event: KernelEvent) => void,
    signal: AbortSignal,
    also: Parameters<Kernel['subscribe']>[2] = {},
  ): void {
    const told = (event: KernelEvent): void => {
      const rare = event.kind === 'neighbour' || event.kind === 'forwarding';
      if (also.neighbours || !rare) listener(event);
    };
    this.namespace.listeners.add(told);
    signal.addEventListener('abort', () => this.namespace.listeners.delete(told), { once: true });
  }

  enter = (netnsPath: string): Kernel => new Memory(this.machine, this.namespaceAt(netnsPath));

  close(): void {}

  private named(name: string): Link {
    const link = this.link(name);
    if (!link) throw new OpError(`link ${name}`, 'no such device', ENODEV);
    return link;
  }

  private linkAt(index: number): Link {
    const link = this.namespace.links.get(index);
    if (!link) throw new OpError(`link ${index}`, 'no such device', ENODEV);
    return link;
  }

  private namespaceAt(path: string): Namespace {
    const namespace = this.machine.namespaces.get(path);
    if (!namespace) throw new OpError(`open network namespace ${path}`, 'no such file', 2);
    return namespace;
  }
}

const proxyDelay = ({ name }: Link, milliseconds: number): [string, string] => [
  `ipv4/neigh/${name}/proxy_delay`,
  String(milliseconds / 10),
];
