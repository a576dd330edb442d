// The invariants of IPAM, checked from outside on what is stored: used by tests and by operators.
import {
  type IpamBlock,
  type IpamHandle,
  isConfirmed,
  parseAffinity,
  parseBlock,
  parseHandle,
} from '../model/ipam.ts';
import { parseKey } from '../model/keys.ts';
import { parseResource } from '../model/resource.ts';
import type { WorkloadEndpointSpec } from '../model/workload-endpoint.ts';
import { ipAt } from '../net/cidr.ts';
import { handleOf, ownerOf, structureProblems } from './block.ts';

interface Item {
  readonly key: string;
  readonly value: string;
}

interface World {
  readonly blocks: IpamBlock[];
  readonly handles: Map<string, IpamHandle>;
  readonly owners: Map<string, string[]>;
  /** Address -> endpoints that claim it. */
  readonly endpoints: Map<string, string[]>;
}

/** Violations, each in a sentence; empty when all holds. `items` is everything under /calico/. */
export function auditIpam(items: readonly Item[]): readonly string[] {
  const world = read(items);
  return [...structure(world), ...addresses(world), ...ownership(world), ...counts(world)];
}

function read(items: readonly Item[]): World {
  const world: World = { blocks: [], handles: new Map(), owners: new Map(), endpoints: new Map() };
  for (const { key: path, value } of items) {
    const key = parseKey(path);
    if (key?.kind === 'block') {
      const block = parseBlock(value);
      if (block.ok) world.blocks.push(block.value);
    } else if (key?.kind === 'handle') {
      const handle = parseHandle(value);
      if (handle.ok) world.handles.set(key.id, handle.value);
    } else if (key?.kind === 'affinity') {
      const affinity = parseAffinity(value);
      if (affinity.ok && isConfirmed(affinity.value))
        append(world.owners, key.cidr, ownerOf(key.node));
    } else if (key?.kind === 'namespaced' && key.plural === 'workloadendpoints') {
      const endpoint = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
        'WorkloadEndpoint',
        value,
      );
      const networks = endpoint.ok ? (endpoint.value.spec.ipNetworks ?? []) : [];
      for (const network of networks) append(world.endpoints, network.split('/')[0]!, path);
    }
  }
  return world;
}

function append(map: Map<string, string[]>, key: string, value: string): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

const structure = ({ blocks }: World): readonly string[] =>
  blocks.flatMap((block) =>
    structureProblems(block).map((problem) => `block ${block.cidr}: ${problem}`),
  );

// I1: one live endpoint an address. I2: a live endpoint's address is allocated.
function addresses({ blocks, endpoints }: World): readonly string[] {
  const allocated = new Set(
    blocks.flatMap((block) =>
      block.allocations.flatMap((index, ordinal) =>
        index === null ? [] : [ipAt(block.cidr, ordinal) as string],
      ),
    ),
  );
  return [...endpoints].flatMap(([ip, owners]) => [
    ...(owners.length > 1 ? [`I1: ${ip} belongs to ${owners.join(' and ')}`] : []),
    ...(allocated.has(ip) ? [] : [`I2: ${ip} of ${owners[0]} is not allocated`]),
  ]);
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
