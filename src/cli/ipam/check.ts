// `ipam check`: calicoctl's report, from the datastore alone, and after it the invariants of address
// management. Fails when there are problems.
import { auditIpam } from '../../ipam/audit.ts';
import { cidr, contains } from '../../net/cidr.ts';
import { compareIp, type Ip } from '../../net/ip.ts';
import type { Output } from '../output.ts';
import { type IdleHandle, idleHandles } from './idle-handles.ts';
import { allocationsOf, unusedAllocations, type World } from './world.ts';

export interface CheckOptions {
  readonly showAllIps?: boolean;
  readonly showProblemIps?: boolean;
}

const NODES_SHOWN = 20;

interface Findings {
  readonly leaked: readonly string[];
  readonly outside: readonly string[];
  readonly unallocated: readonly string[];
  readonly idleHandles: readonly string[];
  readonly missingHandles: readonly string[];
  readonly violations: readonly string[];
}

/** `version` is the program's: a report is used only by the version that made it. */
export function check(world: World, version: string, options: CheckOptions = {}): Output {
  const findings = findingsOf(world);
  const { leaked, outside, unallocated, idleHandles, missingHandles, violations } = findings;
  // Addresses of other plugins lie in no pool: they are said, but no fault.
  const problems = [leaked, unallocated, idleHandles, missingHandles, violations].reduce(
    (sum, some) => sum + some.length,
    0,
  );
  const shown = options.showProblemIps || options.showAllIps;
  const named = (lines: readonly string[]): readonly string[] =>
    shown ? lines.map((line) => `  ${line}`) : [];
  const lines = [
    'Checking IPAM for inconsistencies...',
    '',
    ...loaded(world, options.showAllIps ?? false),
    'Scanning for IPs that are allocated but not actually in use...',
    ...named(leaked),
    `Found ${leaked.length} IPs that are allocated in IPAM but not actually in use.`,
    'Scanning for IPs that are in use by a workload or node but not allocated in IPAM...',
    ...named([...outside, ...unallocated]),
    `Found ${outside.length} in-use IPs that are not in active IP pools.`,
    `Found ${unallocated.length} in-use IPs that are in active IP pools but have no corresponding IPAM allocation.`,
    '',
    'Scanning for IPAM handles with no matching IPs...',
    ...named(idleHandles.map((id) => `${id} doesn't have any active IPs.`)),
    `Found ${idleHandles.length} handles with no matching IPs (and ${world.handles.size - idleHandles.length} handles with matches).`,
    'Scanning for IPs with missing handle...',
    ...named(missingHandles.map((id) => `${id} is in use in a block but doesn't exist.`)),
    `Found ${missingHandles.length} handles mentioned in blocks with no matching handle resource.`,
    'Validating IPAMBlock structures...',
    ...violations.map((violation) => `  ${violation}`),
    `Found ${violations.length} violated invariants.`,
    `Check complete; found ${problems} problems.`,
  ];
  return { lines, data: reportOf(world, version, findings, problems), failed: problems > 0 };
}

function findingsOf(world: World): Findings {
  const allocations = allocationsOf(world);
  const allocated = new Set(allocations.map(({ ip }) => ip));
  const held = new Set(allocations.flatMap(({ handle }) => handle ?? []));
  const ranges = activePools(world).map(cidr);
  const unknown = [...world.users.keys()].filter((ip) => !allocated.has(ip)).sort(compareIp);
  const inPool = (ip: Ip): boolean => ranges.some((range) => contains(range, ip));
  const usersOf = (ip: Ip): string => world.users.get(ip)!.join(', ');
  const unallocated = unknown.filter(inPool);
  return {
    leaked: unusedAllocations(world).map(
      ({ ip, handle }) => `${ip} leaked; handle ${handle ?? '<none>'}`,
    ),
    outside: unknown
      .filter((ip) => !inPool(ip))
      .map((ip) => `${ip} in use by ${usersOf(ip)} is not in any active IP pool.`),
    unallocated: unallocated.map(
      (ip) => `${ip} in use by ${usersOf(ip)} and in active IPAM pool but has no IPAM allocation.`,
    ),
    idleHandles: [...world.handles.keys()].filter((id) => !held.has(id)),
    missingHandles: [...held].filter((id) => !world.handles.has(id)),
    violations: auditIpam(world.items).filter(
      (violation) =>
        !unallocated.some((ip) => violation.startsWith(`I2: ${ip} `)) &&
        !/is not allocated$/.test(violation),
    ),
  };
}

const activePools = ({ pools }: World): readonly string[] =>
  pools.flatMap(({ pool }) => (pool.spec.disabled ? [] : [pool.spec.cidr]));

// What was read, by kind.
function loaded(world: World, showAll: boolean): readonly string[] {
  const allocations = allocationsOf(world);
  const inBlock = (range: string): readonly string[] =>
    allocations
      .filter(({ block }) => showAll && block === range)
      .map(({ ip, handle }) => `  ${ip} handle ${handle ?? '<none>'}`);
  return [
    'Loading all IPAM blocks...',
    `Found ${world.blocks.length} IPAM blocks.`,
    ...world.blocks.flatMap(({ cidr, affinity }) => [
      ` IPAM block ${cidr} affinity=${affinity ?? '<none>'}:`,
      ...inBlock(cidr),
    ]),
    `IPAM blocks record ${allocations.length} allocations.`,
    '',
    'Loading all IPAM pools...',
    ...activePools(world).map((range) => `  ${range}`),
    `Found ${activePools(world).length} active IP pools.`,
    '',
    'Loading all nodes.',
    `Found ${world.tunnelIps} node tunnel IPs.`,
    '',
    'Loading all workload endpoints.',
    `Found ${world.endpointIps} workload IPs.`,
    `Workloads and nodes are using ${world.users.size} IPs.`,
    '',
    'Loading all handles',
    ...topNodes(allocations.flatMap(({ attributes }) => attributes['node'] ?? [])),
    '',
  ];
}

function topNodes(nodes: readonly string[]): readonly string[] {
  const counts = [...Map.groupBy(nodes, (node) => node)]
    .map(([node, all]): [string, number] => [node, all.length])
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const [most] = counts;
  const median = counts[Math.floor(counts.length / 2)];
  return [
    `Looking for top (up to ${NODES_SHOWN}) nodes by allocations...`,
    ...counts.slice(0, NODES_SHOWN).map(([node, n]) => `  ${node} has ${n} allocations`),
    ...(most && median
      ? [`Node with most allocations has ${most[1]}; median is ${median[1]}`]
      : []),
  ];
}

/** What `ipam release --from-report` reads. */
export interface Report {
  readonly version: string;
  readonly clusterGUID: string;
  readonly datastoreLocked: boolean;
  readonly problems: number;
  readonly findings: Findings;
  readonly leaked: readonly {
    readonly ip: Ip;
    readonly handle: string | null;
    /** Decimal: it exceeds 2^53. */
    readonly sequenceNumber: string | null;
  }[];
  /** Absent in reports of earlier builds. */
  readonly leakedHandles?: readonly IdleHandle[];
}

const reportOf = (world: World, version: string, findings: Findings, problems: number): Report => ({
  version,
  clusterGUID: world.cluster?.clusterGUID ?? '',
  datastoreLocked: world.cluster?.datastoreReady === false,
  problems,
  findings,
  leaked: unusedAllocations(world).map(({ ip, handle, sequenceNumber }) => ({
    ip,
    handle: handle ?? null,
    sequenceNumber: sequenceNumber === undefined ? null : String(sequenceNumber),
  })),
  leakedHandles: idleHandles(world),
});
