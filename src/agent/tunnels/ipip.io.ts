// The node's IP-in-IP device, `tunl0`: up, with its MTU and the node's tunnel address, as long as a pool
// wants it; made right again when somebody changes it. The address lies in a block of the node and is in
// its Node record, so that everybody knows whose packets from it are. Routes over it are the speaker's.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { messageOf, OpError } from '../../base/op-error.ts';
import type { Change, KeyValue, Store } from '../../datastore/store.ts';
import type { Allocator } from '../../ipam/allocator.io.ts';
import { assignTunnelAddress, tunnelHandle } from '../../ipam/tunnel.ts';
import type { Kernel, KernelEvent, Link } from '../../kernel/kernel.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import { resourceKey } from '../../model/keys.ts';
import type { Node, NodeSpec } from '../../model/node.ts';
import { parseResource, printResource } from '../../model/resource.ts';
import { familyOf, type Ip, parseIp } from '../../net/ip.ts';
import { ipipMtu, ipipPools, isWithin } from './wanted.ts';

export const IPIP_DEVICE = 'tunl0';
const EEXIST = 17;
const RETRY_MILLISECONDS = 1000;

export interface IpipParts {
  readonly node: string;
  readonly nodeAddress: () => Ip | undefined;
  readonly store: Store;
  readonly kernel: Kernel;
  readonly allocator: Allocator;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly pools: () => readonly IpPool[];
  /** Octets, as they are set; undefined: the link's less the header. */
  readonly mtu: () => number | undefined;
  /** `problem` may be another. */
  readonly onChange: () => void;
}

interface StoredNode {
  readonly item: KeyValue;
  readonly node: Node;
}

export class IpipTunnel {
  /** Why there is no device although a pool wants one. */
  problem: string | undefined;
  private readonly parts: IpipParts;
  private index: number | undefined;
  private listening = false;
  private working = false;
  private again = false;

  constructor(parts: IpipParts) {
    this.parts = parts;
  }

  /** The datastore told of these; looks whether the device has to do with them. */
  changes(changes: readonly Change[]): void {
    const keyOf = (change: Change): string =>
      change.kind === 'put' ? change.item.key : change.key;
    const { node } = this.parts;
    const own = [
      resourceKey('nodes', node),
      resourceKey('felixconfigurations', 'default'),
      resourceKey('felixconfigurations', `node.${node}`),
    ];
    const concerns = (key: string): boolean =>
      key.startsWith(resourceKey('ippools', '')) || own.includes(key);
    if (changes.some((change) => concerns(keyOf(change)))) this.wake();
  }

  /** Makes everything right in the background, and repeats what fails. */
  wake(): void {
    this.again = true;
    if (!this.working) void this.work();
  }

  private async work(): Promise<void> {
    this.working = true;
    const { signal, log } = this.parts;
    while (this.again && !signal.aborted) {
      this.again = false;
      try {
        await this.makeRight();
      } catch (cause) {
        log.warn({ cause: messageOf(cause) }, `${IPIP_DEVICE} is not as it should be`);
        await sleep(RETRY_MILLISECONDS, undefined, { signal, ref: false }).catch(() => undefined);
        this.again = true;
      }
    }
    this.working = false;
  }

  private async makeRight(): Promise<void> {
    const stored = await this.readNode();
    const pools = ipipPools(this.parts.pools(), stored.node.metadata.labels ?? {});
    if (pools.length === 0) return this.tearDown(stored);
    this.listen();
    const link = this.device();
    this.tell(link ? undefined : 'the kernel has no IP-in-IP');
    if (!link) return;
    this.index = link.index;
    const address = await this.address(stored, pools);
    const mtu = ipipMtu(this.parts.mtu(), this.linkMtu());
    this.setDevice(link, mtu, address);
  }

  private tell(problem: string | undefined): void {
    if (this.problem === problem) return;
    this.problem = problem;
    this.parts.onChange();
  }

  private async readNode(): Promise<StoredNode> {
    const key = resourceKey('nodes', this.parts.node);
    const item = await this.parts.store.get(key);
    const node = item && parseResource<'Node', NodeSpec>('Node', item.value);
    if (!item || !node?.ok) throw new OpError(`read ${key}`, 'it is not there or cannot be read');
    return { item, node: node.value };
  }

  /** Of the link with the node's address, which carries the tunnel. */
  private linkMtu(): number | undefined {
    const { kernel, nodeAddress } = this.parts;
    const address = nodeAddress();
    const own = kernel.addresses().find(({ ip }) => ip === address);
    return kernel.links().find(({ index }) => index === own?.linkIndex)?.mtu;
  }

  /** Undefined: the kernel cannot do it. */
  private device(): Link | undefined {
    const { kernel, log } = this.parts;
    const there = kernel.link(IPIP_DEVICE);
    if (there) return there;
    const [refused] = kernel.applyEach([{ kind: 'addIpip', name: IPIP_DEVICE }]);
    if (refused && refused.error.errno !== EEXIST)
      log.error({ cause: refused.error.message }, `no ${IPIP_DEVICE}`);
    return kernel.link(IPIP_DEVICE);
  }

  /** The stored address if it is ours and in a pool that wants the tunnel, else a new one. */
  private async address(stored: StoredNode, pools: readonly IpPool[]): Promise<Ip> {
    const { allocator, node } = this.parts;
    const known = parseIp(stored.node.spec.bgp?.ipv4IPIPTunnelAddr ?? '');
    if (known && !isWithin(pools, known)) await this.release(stored, false);
    const outcome = await assignTunnelAddress(allocator, {
      tunnel: 'ipip',
      node,
      pools: pools.map(({ spec }) => spec.cidr),
      alongside: ([ip]) => alongsideNode(stored, ip),
    });
    if (outcome.kind === 'assigned') {
      const [ip] = outcome.ips;
      // It had the address already, and nothing was written: the record may lack it.
      if (ip && ip !== known) await this.writeNode(ip);
      if (ip) return ip;
    }
    throw new OpError('assign a tunnel address', reasonOf(outcome));
  }

  private async tearDown(stored: StoredNode): Promise<void> {
    this.tell(undefined);
    if (stored.node.spec.bgp?.ipv4IPIPTunnelAddr === undefined) return;
    const { kernel } = this.parts;
    const link = kernel.link(IPIP_DEVICE);
    if (link) {
      kernel.apply([
        ...this.addressesOn(link.index).map(
          (address) => ({ kind: 'deleteAddress', ...address }) as const,
        ),
        { kind: 'setLink', index: link.index, up: false },
      ]);
    }
    await this.release(stored, true);
  }

  private async release(stored: StoredNode, forGood: boolean): Promise<void> {
    const { allocator, node } = this.parts;
    const outcome = await allocator.release({
      handleId: tunnelHandle('ipip', node),
      ...(forGood ? { alongside: alongsideNode(stored, undefined) } : {}),
    });
    if (outcome.kind !== 'released')
      throw new OpError('release the tunnel address', reasonOf(outcome));
  }

  private async writeNode(ip: Ip): Promise<void> {
    const stored = await this.readNode();
    if (stored.node.spec.bgp?.ipv4IPIPTunnelAddr === ip) return;
    const { compares, writes } = alongsideNode(stored, ip);
    const outcome = await this.parts.store.transaction(compares, writes);
    if (outcome.kind !== 'committed') throw new OpError('write the Node', 'somebody else just did');
  }

  private addressesOn(linkIndex: number) {
    return this.parts.kernel
      .addresses()
      .filter((address) => address.linkIndex === linkIndex && familyOf(address.ip) === 4)
      .map(({ ip, prefixLength }) => ({ linkIndex, ip, prefixLength }));
  }

  private setDevice(link: Link, mtu: number, ip: Ip): void {
    const { kernel } = this.parts;
    const present = this.addressesOn(link.index);
    const wrong = present.filter((address) => address.ip !== ip || address.prefixLength !== 32);
    const isThere = present.length > wrong.length;
    const isUp = link.up && link.mtu === mtu;
    kernel.apply([
      ...(isUp ? [] : [{ kind: 'setLink', index: link.index, mtu, up: true } as const]),
      ...wrong.map((address) => ({ kind: 'deleteAddress', ...address }) as const),
      ...(isThere
        ? []
        : [{ kind: 'addAddress', linkIndex: link.index, ip, prefixLength: 32 } as const]),
    ]);
  }

  /** Only from now on: every pod's links would wake us. */
  private listen(): void {
    if (this.listening) return;
    this.listening = true;
    const { kernel, signal } = this.parts;
    kernel.subscribe((event) => this.heard(event), signal);
  }

  private heard(event: KernelEvent): void {
    const isOurs =
      event.kind === 'lost' ||
      (event.kind === 'link' && event.link.name === IPIP_DEVICE) ||
      (event.kind === 'address' && event.gone && event.address.linkIndex === this.index);
    if (isOurs) this.wake();
  }
}

/** The Node as it was read, with or without the tunnel's address. */
function alongsideNode({ item, node }: StoredNode, ip: Ip | undefined) {
  const { ipv4IPIPTunnelAddr: _, ...bgp } = node.spec.bgp ?? {};
  const next = { ...bgp, ...(ip === undefined ? {} : { ipv4IPIPTunnelAddr: ip }) };
  const value = printResource({ ...node, spec: { ...node.spec, bgp: next } });
  return {
    compares: [{ key: item.key, revision: item.revision }],
    writes: [{ kind: 'put', key: item.key, value } as const],
  };
}

const reasonOf = (outcome: { readonly kind: string; readonly message?: string }): string =>
  outcome.message ?? outcome.kind;
