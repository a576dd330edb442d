// `ipam show`: how full pools and blocks are, one address, borrowed addresses, the configuration;
// texts and columns as calicoctl's.
import { coveredIn } from '../../ipam/pools/ranges.ts';
import type { IpamBlock } from '../../model/ipam.ts';
import { claimsBlocks } from '../../model/ipam-config.ts';
import { type Cidr, cidr, contains, containsCidr, ipAt, sizeOf } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import { boxTable, type Output } from '../output.ts';
import { allocationAt, allocationsOf, type World } from './world.ts';

interface Usage {
  readonly grouping: 'IP Pool' | 'Block';
  readonly cidr: Cidr;
  readonly total: number;
  readonly inUse: number;
  readonly reserved: number;
  readonly free: number;
}

const NUMBERS = ['IPS TOTAL', 'IPS IN USE', 'IPS RESERVED', 'IPS FREE'];

export function showUsage(world: World, { blocks }: { readonly blocks: boolean }): Output {
  const data = usageOf(world).filter(({ grouping }) => blocks || grouping === 'IP Pool');
  const rows = data.map(({ grouping, cidr, total, inUse, reserved, free }) => [
    grouping,
    cidr,
    general(total),
    ...[inUse, reserved, free].map((count) => `${general(count)} (${percent(count, total)}%)`),
  ]);
  return { data, lines: boxTable(['GROUPING', 'CIDR', ...NUMBERS], rows, NUMBERS) };
}

/** Every pool with its blocks after it; blocks of no pool last. */
function usageOf(world: World): readonly Usage[] {
  const left = new Set(world.blocks);
  const pools = world.pools.flatMap(({ pool }) => {
    const range = cidr(pool.spec.cidr);
    const blocks = [...left].filter((block) => containsCidr(range, block.cidr));
    for (const block of blocks) left.delete(block);
    return [
      usage(world, 'IP Pool', range, blocks),
      ...blocks.map((block) => usage(world, 'Block', block.cidr, [block])),
    ];
  });
  return [...pools, ...[...left].map((block) => usage(world, 'Block', block.cidr, [block]))];
}

function usage(
  { reserved }: World,
  grouping: Usage['grouping'],
  range: Cidr,
  blocks: readonly IpamBlock[],
): Usage {
  const total = Number(sizeOf(range));
  const taken = blocks.flatMap(takenIn);
  const outside = Number(coveredIn(range, reserved));
  // An address may be reserved after it was given out.
  const both = taken.filter((ip) => reserved.some((cidr) => contains(cidr, ip))).length;
  const free = total - taken.length - outside + both;
  return { grouping, cidr: range, total, inUse: taken.length, reserved: outside, free };
}

const takenIn = (block: IpamBlock): readonly Ip[] =>
  block.allocations.flatMap((index, ordinal) =>
    index === null ? [] : [ipAt(block.cidr, ordinal)],
  );

/** Five significant digits as C's `%.5g` prints them. */
export function general(value: number): string {
  if (value < 99999.5) return String(value);
  const [digits, exponent] = value.toExponential(4).split('e+') as [string, string];
  return `${digits.replace(/\.?0+$/, '')}e+${exponent.padStart(2, '0')}`;
}

/** Whole percents; a half goes to the even neighbour, as C's `%.0f` does. */
export function percent(part: number, whole: number): string {
  const exact = (100 * part) / whole;
  const below = Math.floor(exact);
  const up = exact - below > 0.5 || (exact - below === 0.5 && below % 2 === 1);
  return String(up ? below + 1 : below);
}

export function showAddress(world: World, ip: Ip): Output {
  const found = allocationAt(world, ip);
  if (!found) return { lines: [`${ip} is not assigned`], data: { ip, assigned: false } };
  const { handle, attributes, block } = found;
  const facts = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    data: { ip, assigned: true, block, handle: handle ?? null, attributes },
    lines: [
      `IP ${ip} is in use`,
      `Handle ID: ${handle ?? '<none>'}`,
      ...(facts.length > 0
        ? ['Active Owner Attributes:', ...facts.map(([name, value]) => `  ${name}: ${value}`)]
        : ['No Active Owner attributes defined']),
    ],
  };
}

const BORROWED = ['IP', 'BORROWING-NODE', 'BLOCK', 'BLOCK OWNER', 'TYPE', 'ALLOCATED-TO'];

export function showBorrowed(world: World): Output {
  const owners = new Map(world.blocks.map(({ cidr, affinity }) => [cidr, affinity ?? '']));
  const ownerOf = (block: Cidr): string => owners.get(block)?.replace(/^[^:]*:/, '') ?? '';
  const all = allocationsOf(world);
  const unknown = all.filter(({ attributes }) => attributes['node'] === undefined).length;
  const data = all.flatMap(({ ip, block, attributes }) => {
    const { node, pod, namespace, type } = attributes;
    const owner = ownerOf(block);
    if (node === undefined || node === owner) return [];
    const allocatedTo = pod === undefined ? '' : `${namespace ?? ''}/${pod}`;
    return [
      { ip, node, block, owner, type: pod === undefined ? (type ?? '') : 'pod', allocatedTo },
    ];
  });
  const note = `Note: found ${unknown} IP allocations without an explicit node association. Unable to determine if they are borrowed.`;
  return {
    data,
    lines: [
      ...boxTable(
        BORROWED,
        data.map((row) => [row.ip, row.node, row.block, row.owner, row.type, row.allocatedTo]),
      ),
      ...(unknown > 0 ? ['', note] : []),
    ],
  };
}

/** calicoctl prints a pointer for KubeVirtVMAddressPersistence; this prints what it means. */
export function showConfiguration({ config }: World): Output {
  const stored = config as { readonly kubeVirtVMAddressPersistence?: string } | undefined;
  const data = {
    StrictAffinity: config?.strict_affinity ?? false,
    AutoAllocateBlocks: claimsBlocks(config),
    MaxBlocksPerHost: config?.maxBlocksPerHost ?? 0,
    KubeVirtVMAddressPersistence: stored?.kubeVirtVMAddressPersistence || 'Enabled',
    IPCooldownSeconds: config?.ipCooldownSeconds ?? 0,
  };
  const rows = Object.entries(data).map(([name, value]) => [name, String(value)]);
  return { data, lines: boxTable(['PROPERTY', 'VALUE'], rows) };
}
