// `policy guard`: whether the guard stands behind the rules of this node.
import type { GuardReport } from '../../policy/counters/guard-report.ts';
import { boxTable, type Output } from '../output.ts';

const UNKEPT = "'nft flush ruleset' would take it too, until the repair: Linux before 6.9";

/** Ends with 1 where it is asked for and does not stand. */
export function policyGuard(reports: readonly GuardReport[]): Output {
  const rows = reports.map(({ family, stands, isKept, dropped, why = '' }) => [
    `IPv${family}`,
    stands ? 'stands' : 'none',
    String(dropped),
    stands && !isKept ? UNKEPT : why,
  ]);
  return {
    data: reports,
    lines: boxTable(['FAMILY', 'GUARD', 'DROPPED', 'NOTE'], rows, ['DROPPED']),
    failed: reports.some(({ enabled, stands }) => enabled && !stands),
  };
}

/** A line for who asks about a connection; undefined: there is no guard to tell of. */
export function guardNote(reports: readonly GuardReport[]): string | undefined {
  const standing = reports.filter(({ stands }) => stands);
  if (standing.length === 0) return undefined;
  const families = standing.map(({ family }) => `IPv${family}`).join(' and ');
  const dropped = standing.reduce((sum, one) => sum + one.dropped, 0);
  const stopped = dropped === 0 ? '' : `; so far it has stopped ${dropped} packets`;
  return `behind this node's rules of ${families} stands the guard, for when others flush them${stopped}`;
}
