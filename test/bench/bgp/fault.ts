// What makes a figure void.
import type { Outcome } from './course.ts';
import type { DevicePlan } from './devices.ts';
import { networkBits } from './routes.ts';

/** Undefined: no session was lost, and each peer knows exactly what the others announced. */
export function faultOf({ peers }: DevicePlan, { tables, lost }: Outcome): string | undefined {
  if (lost.length > 0) return `lost ${lost.length} sessions: ${lost.slice(0, 3).join(', ')}`;
  const sum = (first: number, count: number): number => {
    let all = 0;
    for (let i = first; i < first + count; i++) all = (all + networkBits(i)) % 1_000_000_007;
    return all;
  };
  const sums = peers.map(({ first, count }) => sum(first, count));
  const total = sums.reduce((a, b) => (a + b) % 1_000_000_007, 0);
  for (const [i, { awaits }] of peers.entries()) {
    if (awaits === 0) continue;
    const expected = (total - sums[i]! + 1_000_000_007) % 1_000_000_007;
    const [count, found] = tables[i]!;
    if (count !== awaits || found !== expected)
      return `peer ${i} knows ${count} prefixes, not ${awaits}, or others`;
  }
  return undefined;
}
