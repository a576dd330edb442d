// Everything that the ipam commands look at, read from one listing of the datastore at one revision.
import type { KeyValue } from '../../datastore/store.ts';
import { handleOf, isKept } from '../../ipam/block.ts';
import { collectCooled, isCooling } from '../../ipam/cooldown.ts';
import type { ClusterInformationSpec } from '../../model/cluster-information.ts';
import { checkIpPoolSpec, type IpPool, type IpPoolSpec } from '../../model/ip-pool.ts';
import { checkIpReservationSpec, type IpReservationSpec } from '../../model/ip-reservation.ts';
import {
  type AllocationAttribute,
  type IpamBlock,
  type IpamConfig,
  type IpamHandle,
  MAIN_PLUGIN,
  parseBlock,
  parseHandle,
  parseIpamConfig,
} from '../../model/ipam.ts';
import { cooldownSeconds } from '../../model/ipam-config.ts';
import { blockKey, parseKey } from '../../model/keys.ts';
import type { NodeSpec } from '../../model/node.ts';
import { parseResource } from '../../model/resource.ts';
import type { WorkloadEndpointSpec } from '../../model/workload-endpoint.ts';
import { type Cidr, contains, ipAt, parseCidr } from '../../net/cidr.ts';
import { type Ip, parseIp } from '../../net/ip.ts';

export interface World {
  readonly items: readonly KeyValue[];
  readonly blocks: IpamBlock[];
  /** Ranges of stored blocks that cannot be read. */
  readonly unreadable: Cidr[];
  readonly handles: Map<string, IpamHandle>;
  readonly pools: { readonly stored: KeyValue; readonly pool: IpPool }[];
  readonly reserved: Cidr[];
  /** Addresses in use, with who uses each. */
  readonly users: Map<Ip, string[]>;
  endpointIps: number;
  tunnelIps: number;
  config: IpamConfig | undefined;
  cluster: ClusterInformationSpec | undefined;
}

/** An allocated address, not one that rests after its release. */
export interface Allocation {
  readonly ip: Ip;
  readonly block: Cidr;
  readonly handle: string | undefined;
  readonly sequenceNumber: number | bigint | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  /** It has an owner although no endpoint or node has the address. */
  readonly isKept: boolean;
}

export function readWorld(items: readonly KeyValue[], now: Date): World {
  const world: World = {
    items,
    blocks: [],
    unreadable: [],
    handles: new Map(),
    pools: [],
    reserved: [],
    users: new Map(),
    endpointIps: 0,
    tunnelIps: 0,
    config: undefined,
    cluster: undefined,
  };
  for (const item of items) readItem(world, item);
  const cooldown = { now, seconds: cooldownSeconds(world.config) };
  return { ...world, blocks: world.blocks.map((block) => collectCooled(block, cooldown)) };
}

function readItem(world: World, item: KeyValue): void {
  const key = parseKey(item.key);
  if (key?.kind === 'block') {
    const block = parseBlock(item.value);
    if (block.ok) world.blocks.push(block.value);
    else world.unreadable.push(key.cidr);
  } else if (key?.kind === 'handle') {
    const handle = parseHandle(item.value);
    if (handle.ok) world.handles.set(key.id, handle.value);
  } else if (key?.kind === 'ipamConfig') {
    const config = parseIpamConfig(item.value);
    if (config.ok) world.config = config.value;
  } else if (key?.kind === 'namespaced' && key.plural === 'workloadendpoints') {
    readEndpoint(world, item.value, `${key.namespace}/${key.name}`);
  } else if (key?.kind === 'resource') readResource(world, item, key.plural);
}

function readResource(world: World, item: KeyValue, plural: string): void {
  if (plural === 'ippools') {
    const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', item.value, checkIpPoolSpec);
    if (pool.ok) world.pools.push({ stored: item, pool: pool.value });
  } else if (plural === 'ipreservations') {
    const reservation = parseResource<'IPReservation', IpReservationSpec>(
      'IPReservation',
      item.value,
      checkIpReservationSpec,
    );
    if (reservation.ok)
      for (const text of reservation.value.spec.reservedCIDRs ?? [])
        world.reserved.push(parseCidr(text)!);
  } else if (plural === 'clusterinformations') {
    const cluster = parseResource<'ClusterInformation', ClusterInformationSpec>(
      'ClusterInformation',
      item.value,
    );
    if (cluster.ok) world.cluster = cluster.value.spec;
  } else if (plural === 'nodes') readNode(world, item.value);
}

function readEndpoint(world: World, value: string, name: string): void {
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>('WorkloadEndpoint', value);
  for (const network of (parsed.ok && parsed.value.spec.ipNetworks) || []) {
    const ip = parseIp(network.split('/')[0]!);
    if (!ip) continue;
    world.endpointIps++;
    use(world, ip, `Workload(${name})`);
  }
}

/** Where a node's tunnel addresses are, rarer ones too. */
type Tunnels = NodeSpec & {
  readonly wireguard?: {
    readonly interfaceIPv4Address?: string;
    readonly interfaceIPv6Address?: string;
  };
};

function readNode(world: World, value: string): void {
  const node = parseResource<'Node', Tunnels>('Node', value);
  if (!node.ok) return;
  const { bgp, wireguard, ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr } = node.value.spec;
  const tunnels = [
    bgp?.ipv4IPIPTunnelAddr,
    ipv4VXLANTunnelAddr,
    ipv6VXLANTunnelAddr,
    wireguard?.interfaceIPv4Address,
    wireguard?.interfaceIPv6Address,
  ];
  for (const text of tunnels) {
    const ip = text && parseIp(text);
    if (!ip) continue;
    world.tunnelIps++;
    use(world, ip, `Node(${node.value.metadata.name})`);
  }
}

const use = ({ users }: World, ip: Ip, user: string): unknown =>
  users.set(ip, [...(users.get(ip) ?? []), user]);

/** The allocation of an address, if it has one. Throws when the block that would say so cannot be read. */
export function allocationAt(world: World, ip: Ip): Allocation | undefined {
  const found = allocationsOf(world).find((allocation) => allocation.ip === ip);
  const lost = found ? undefined : world.unreadable.find((range) => contains(range, ip));
  if (lost) throw new Error(`nobody knows who has ${ip}: ${blockKey(lost)} cannot be read`);
  return found;
}

/** In the order of blocks and addresses. */
export const allocationsOf = ({ blocks }: World): readonly Allocation[] =>
  blocks.flatMap((block) =>
    block.allocations.flatMap((index, ordinal) => {
      const attribute = index === null ? undefined : (block.attributes[index] ?? {});
      return attribute && !isCooling(attribute) ? [allocation(block, ordinal, attribute)] : [];
    }),
  );

const allocation = (
  block: IpamBlock,
  ordinal: number,
  attribute: AllocationAttribute,
): Allocation => ({
  ip: ipAt(block.cidr, ordinal),
  block: block.cidr,
  handle: handleOf(attribute),
  sequenceNumber: block.sequenceNumberForAllocation[String(ordinal)],
  attributes: attribute.secondary ?? {},
  isKept: isKept(attribute),
});

/** Addresses of Services have no endpoint and no node. */
const TUNNEL_TYPE = /TunnelAddress$/;

/** Allocated, and neither an endpoint nor a node has the address: a leak if it lasts. */
export const unusedAllocations = (world: World): readonly Allocation[] =>
  allocationsOf(world).filter(({ ip, attributes, isKept }) => {
    const type = attributes['type'];
    const ofService = type !== undefined && !TUNNEL_TYPE.test(type);
    // Pods of another main plugin have no endpoint: from here nobody can tell whether they live.
    const ofOther = attributes[MAIN_PLUGIN] !== undefined;
    return !world.users.has(ip) && !isKept && !ofService && !ofOther;
  });
