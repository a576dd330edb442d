// The invariants of IPAM, checked from outside on what is stored: used by tests and by operators.

import { checkIpPoolSpec, type IpPoolSpec } from '../model/ip-pool.ts';
import {
  type AllocationAttribute,
  type IpamBlock,
  type IpamHandle,
  isConfirmed,
  MAIN_PLUGIN,
  parseAffinity,
  parseBlock,
  parseHandle,
  parseIpamConfig,
} from '../model/ipam.ts';
import { parseKey } from '../model/keys.ts';
import { parseResource } from '../model/resource.ts';
import type { WorkloadEndpointSpec } from '../model/workload-endpoint.ts';
import { type Cidr, cidr, cidrOf, contains, ipAt, networkOf, prefixLengthOf } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { handleOf, isKept, ownerOf, structureProblems } from './block.ts';

interface Item {
  readonly key: string;
  readonly value: string;
}

interface Endpoint {
  readonly key: string;
  readonly containerId: string | undefined;
}

interface World {
  readonly blocks: IpamBlock[];
  readonly handles: Map<string, IpamHandle>;
  readonly owners: Map<string, string[]>;
  /** Address -> endpoints that claim it. */
  readonly endpoints: Map<Ip, Endpoint[]>;
  readonly pools: Cidr[];
  readonly unreadable: string[];
  strict: boolean;
}

/** An allocated address. */
interface Allocation {
  readonly ip: Ip;
  readonly block: IpamBlock;
  readonly attribute: AllocationAttribute;
}

/** Violations, each in a sentence; empty when all holds. `items` is everything under /calico/. */
export function auditIpam(items: readonly Item[]): readonly string[] {
  const world = read(items);
  return [
    ...world.unreadable.map((key) => `${key} cannot be read`),
    ...structure(world),
    ...overlaps(world),
    ...addresses(world),
    ...ownership(world),
    ...counts(world),
    ...strictness(world),
  ];
}

/**
 * I3: addresses of pods (of `node`) that no endpoint has, with their handles. Wrong only when it
 * lasts: an ADD or a clean-up may be under way.
 */
export function leakedAddresses(items: readonly Item[], node?: string): readonly string[] {
  const world = read(items);
  return allocationsOf(world).flatMap(({ ip, attribute }) => {
    // Tunnel and service addresses have a type and no endpoint; kept ones wait for their pod.
    const typed = attribute.secondary?.['type'] !== undefined;
    const ofOther = attribute.secondary?.[MAIN_PLUGIN] !== undefined;
    if (node !== undefined && attribute.secondary?.['node'] !== node) return [];
    const ofPod = handleOf(attribute) !== undefined && !typed && !isKept(attribute) && !ofOther;
    return ofPod && !world.endpoints.has(ip) ? [`I3: ${ip} of ${handleOf(attribute)}`] : [];
  });
}

function read(items: readonly Item[]): World {
  const world: World = {
    blocks: [],
    handles: new Map(),
    owners: new Map(),
    endpoints: new Map(),
    pools: [],
    unreadable: [],
    strict: false,
  };
  for (const item of items) if (!readItem(world, item)) world.unreadable.push(item.key);
  return world;
}

function readItem(world: World, { key: path, value }: Item): boolean {
  const key = parseKey(path);
  if (key?.kind === 'block') {
    const block = parseBlock(value);
    if (block.ok) world.blocks.push(block.value);
    return block.ok;
  }
  if (key?.kind === 'handle') {
    const handle = parseHandle(value);
    if (handle.ok) world.handles.set(key.id, handle.value);
    return handle.ok;
  }
  if (key?.kind === 'affinity') {
    const affinity = parseAffinity(value);
    if (affinity.ok && isConfirmed(affinity.value))
      append(world.owners, key.cidr, `${key.owner}:${key.node}`);
    return affinity.ok;
  }
  if (key?.kind === 'ipamConfig') {
    const config = parseIpamConfig(value);
    world.strict = config.ok && config.value.strict_affinity === true;
    return config.ok;
  }
  if (key?.kind === 'resource' && key.plural === 'ippools') {
    const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', value, checkIpPoolSpec);
    if (pool.ok) world.pools.push(cidr(pool.value.spec.cidr));
    return pool.ok;
  }
  return (
    key?.kind !== 'namespaced' || key.plural !== 'workloadendpoints' || endpoint(world, path, value)
  );
}

function endpoint(world: World, key: string, value: string): boolean {
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>('WorkloadEndpoint', value);
  if (!parsed.ok) return false;
  const { ipNetworks = [], containerID: containerId } = parsed.value.spec;
  for (const network of ipNetworks)
    append(world.endpoints, network.split('/')[0] as Ip, { key, containerId });
  return true;
}

function append<K, T>(map: Map<K, T[]>, key: K, value: T): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

// `<network>.<container>`, and `:<interface>` for one that is not the container's first.
const ofContainer = (handle: string | undefined, containerId: string): boolean =>
  handle?.replace(/:[^:]*$/, '').endsWith(`.${containerId}`) ?? false;

const allocationsOf = ({ blocks }: World): readonly Allocation[] =>
  blocks.flatMap((block) =>
    block.allocations.flatMap((index, ordinal) =>
      index === null
        ? []
        : [{ ip: ipAt(block.cidr, ordinal), block, attribute: block.attributes[index] ?? {} }],
    ),
  );

const structure = ({ blocks }: World): readonly string[] =>
  blocks.flatMap((block) =>
    structureProblems(block).map((problem) => `block ${block.cidr}: ${problem}`),
  );

// Two blocks that share addresses could give one twice.
function overlaps({ blocks }: World): readonly string[] {
  const known = new Set(blocks.map(({ cidr }) => cidr));
  const lengths = [...new Set([...known].map(prefixLengthOf))];
  return [...known].flatMap((inner) =>
    lengths
      .filter((length) => length < prefixLengthOf(inner))
      .map((length) => cidrOf(networkOf(inner), length))
      .filter((outer) => known.has(outer))
      .map((outer) => `block ${inner} lies in block ${outer}`),
  );
}

// I1: one live endpoint an address. I2: a live endpoint's address is allocated to its container; one
// that lies in no pool came from another plugin.
function addresses(world: World): readonly string[] {
  const allocated = new Map(
    allocationsOf(world).map(({ ip, attribute }): [Ip, AllocationAttribute] => [ip, attribute]),
  );
  return [...world.endpoints].flatMap(([ip, owners]) => {
    const keys = owners.map(({ key }) => key).join(' and ');
    const twice = owners.length > 1 ? [`I1: ${ip} belongs to ${keys}`] : [];
    const attribute = allocated.get(ip);
    const foreign = world.pools.length > 0 && !world.pools.some((pool) => contains(pool, ip));
    if (!attribute && foreign) return twice;
    if (!attribute) return [...twice, `I2: ${ip} of ${keys} is not allocated`];
    const handle = handleOf(attribute);
    const strangers = owners.filter(
      ({ containerId }) =>
        containerId !== undefined && !isKept(attribute) && !ofContainer(handle, containerId),
    );
    return [...twice, ...strangers.map(({ key }) => `I2: ${ip} of ${key} is held by ${handle}`)];
  });
}

// I4: a block has at most one owner, and block and affinity agree.
function ownership({ blocks, owners }: World): readonly string[] {
  return blocks.flatMap((block) => {
    const claims = owners.get(block.cidr) ?? [];
    if (claims.length > 1) return [`I4: block ${block.cidr} is claimed by ${claims.join(' and ')}`];
    const agrees = claims.length === 0 || claims[0] === block.affinity;
    return agrees
      ? []
      : [`I4: block ${block.cidr} says ${block.affinity}, its affinity says ${claims[0]}`];
  });
}

// I5: a handle's count equals what the blocks hold for it.
function counts({ blocks, handles }: World): readonly string[] {
  const held = new Map<string, number>();
  for (const block of blocks) {
    for (const index of block.allocations) {
      const handle = index === null ? undefined : handleOf(block.attributes[index] ?? {});
      if (handle)
        held.set(`${handle} ${block.cidr}`, (held.get(`${handle} ${block.cidr}`) ?? 0) + 1);
    }
  }
  const counted = new Map(
    [...handles].flatMap(([id, { block }]) =>
      Object.entries(block).map(([cidr, count]): [string, number] => [`${id} ${cidr}`, count]),
    ),
  );
  const all = new Set([...held.keys(), ...counted.keys()]);
  return [...all]
    .filter((key) => held.get(key) !== counted.get(key))
    .map(
      (key) =>
        `I5: handle and block ${key}: counted ${counted.get(key) ?? 0}, held ${held.get(key) ?? 0}`,
    );
}

// I7: with strict affinity every address is the block owner's.
const strictness = (world: World): readonly string[] =>
  allocationsOf(world).flatMap(({ ip, block, attribute }) => {
    const node = attribute.secondary?.['node'];
    const foreign = world.strict && node !== undefined && block.affinity !== ownerOf(node);
    return foreign ? [`I7: ${ip} of node ${node} is in a block of ${block.affinity}`] : [];
  });
