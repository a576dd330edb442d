// Freeing addresses without any lock: what was read is named by handle and sequence number, and an
// address that came into another life since stays.
import type { Clock } from '../../base/clock.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { Store } from '../../datastore/store.ts';
import { openAllocator } from '../../ipam/allocator.io.ts';
import { cidr, contains } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import type { Output } from '../output.ts';
import type { Report } from './check.ts';
import { type IdleHandle, removeIdle } from './idle-handles.ts';
import { releaseWithoutHandle } from './without-handle.ts';
import {
  type Allocation,
  allocationAt,
  allocationsOf,
  unusedAllocations,
  type World,
} from './world.ts';

interface Parts {
  readonly store: Store;
  readonly clock: Clock;
  /** Only says what would be freed. */
  readonly dryRun: boolean;
}

/** Of one handle, all that it has. */
export interface Leak {
  readonly handle: string;
  readonly only: readonly { readonly ip: Ip; readonly sequenceNumber?: number | bigint }[];
}

interface Freed {
  readonly ips: readonly Ip[];
  readonly skipped: number;
  readonly errors: readonly string[];
  readonly handles: number;
}

export async function releaseAddress(parts: Parts, world: World, ip: Ip): Promise<Output> {
  const found = allocationAt(world, ip);
  if (!found) return { lines: [`IP address ${ip} is not assigned`], data: { ip, released: false } };
  const { handle } = found;
  if (parts.dryRun)
    return {
      lines: [
        `Would release IP address ${ip} ${handle === undefined ? 'without a handle' : `of ${handle}`}`,
      ],
      data: { ip, dryRun: true, handle: handle ?? null },
    };
  const released = await (handle === undefined
    ? releaseWithoutHandle(parts, world, found)
    : releaseOf(parts, handle, found));
  return {
    data: { ip, released },
    failed: !released,
    lines: [
      released
        ? `Successfully released IP address ${ip}`
        : `IP address ${ip} came into other hands meanwhile and was not released`,
    ],
  };
}

async function releaseOf(parts: Parts, handle: string, found: Allocation): Promise<boolean> {
  const { ips, errors } = await free(parts, [leakOf(handle, [found])]);
  if (errors[0] !== undefined) throw new Error(errors[0]);
  return ips.includes(found.ip);
}

const leakOf = (handle: string, all: readonly Allocation[]): Leak => ({
  handle,
  only: all.map(({ ip, sequenceNumber }) => ({
    ip,
    ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
  })),
});

/** Handles none of whose addresses is used, at every one of the looks; each look may be a report. */
export function lastingLeaks(now: World, before: readonly Report['leaked'][]): readonly Leak[] {
  const unused = new Set(unusedAllocations(now).map(({ ip }) => ip));
  const lasts = ({ ip, handle, sequenceNumber }: Allocation): boolean =>
    unused.has(ip) &&
    before.every((leaked) =>
      leaked.some(
        (seen) =>
          seen.ip === ip &&
          seen.handle === handle &&
          seen.sequenceNumber === (sequenceNumber === undefined ? null : String(sequenceNumber)),
      ),
    );
  return [...Map.groupBy(allocationsOf(now), ({ handle }) => handle)].flatMap(([handle, all]) =>
    handle !== undefined && all.every(lasts) ? [leakOf(handle, all)] : [],
  );
}

async function free({ store, clock }: Parts, leaks: readonly Leak[]): Promise<Freed> {
  const allocator = openAllocator({ store, node: 'calico-kit', clock, upkeep: false });
  const ips: Ip[] = [];
  const errors: string[] = [];
  let handles = 0;
  let skipped = 0;
  try {
    await allocator.ready();
    for (const { handle: handleId, only } of leaks) {
      const outcome = await allocator.release({ handleId, only });
      if (outcome.kind === 'unavailable') errors.push(`${handleId}: ${outcome.error.message}`);
      else if (outcome.kind !== 'released' || outcome.ips.length === 0) skipped++;
      else {
        handles++;
        ips.push(...outcome.ips);
      }
    }
  } finally {
    allocator.close();
  }
  return { ips, skipped, errors, handles };
}

/** Handles without addresses, with the look that found them. */
export interface Idle {
  readonly world: World;
  readonly handles: readonly IdleHandle[];
}

/** Frees leaks and removes idle handles, or says what would be freed. */
export async function collect(parts: Parts, leaks: readonly Leak[], idle?: Idle): Promise<Output> {
  const { dryRun } = parts;
  const count = leaks.reduce((sum, { only }) => sum + only.length, 0);
  const handles = idle?.handles.map(({ id }) => id) ?? [];
  if (dryRun)
    return {
      lines: [
        ...leaks.flatMap(({ handle, only }) => only.map(({ ip }) => `  ${ip} of ${handle}`)),
        `Would release ${count} old IPs.`,
        ...handles.map((id) => `  ${id}`),
        ...(handles.length > 0 ? [`Would remove ${handles.length} handles without IPs.`] : []),
      ],
      data: {
        dryRun,
        leaks: leaks.map(({ handle, only }) => ({ handle, ips: only.map((o) => o.ip) })),
        handles,
      },
    };
  const freed = await free(parts, leaks);
  const removed = idle ? await removeAll(parts, idle) : { handles: 0, skipped: 0 };
  const { ips, errors } = freed;
  const total = {
    ...freed,
    handles: freed.handles + removed.handles,
    skipped: freed.skipped + removed.skipped,
  };
  return {
    data: total,
    failed: errors.length > 0,
    lines: [
      `Releasing ${count} old IPs...`,
      ...errors.map((error) => `  ${error}`),
      `Released ${ips.length} IPs successfully`,
      `Released ${total.handles} handles; ${total.skipped} skipped; ${errors.length} errors.`,
    ],
  };
}

async function removeAll({ store }: Parts, { world, handles }: Idle) {
  let removed = 0;
  for (const handle of handles) if (await removeIdle(store, world, handle)) removed++;
  return { handles: removed, skipped: handles.length - removed };
}

/** A file of `ipam check -o FILE`. Errors: what it is instead. */
export function parseReport(text: string): Result<Report> {
  try {
    const report = JSON.parse(text) as Partial<Report> | null;
    if (report?.version !== undefined && Array.isArray(report.leaked)) return ok(report as Report);
  } catch {
    // said below
  }
  return fail('it is no report of `ipam check -o FILE`');
}

/** Why a report may not be used on this cluster; undefined when it may. */
export function reportProblem(world: World, report: Report, version: string): string | undefined {
  const guid = world.cluster?.clusterGUID ?? '';
  if (report.clusterGUID !== guid)
    return `the report is of cluster '${report.clusterGUID}', this is '${guid}'`;
  if (report.version !== version)
    return `the report was made by ${report.version}, this is ${version}: make a new one`;
  const ranges = world.blocks.map((block) => cidr(block.cidr));
  const strange = report.leaked.find(({ ip }) => !ranges.some((range) => contains(range, ip)));
  return strange && `the report is stale: ${strange.ip} is in no block any more; make a new one`;
}
