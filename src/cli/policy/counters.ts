// `policy counters`: how many packets and bytes each rule on this node has matched.
import { boxTable, type Output } from '../output.ts';

/** A rule as the agent tells of it (/policy/counters). */
export interface CountedRule {
  readonly tier: string;
  /** `NetworkPolicy ns/name`, `Profile kns.x`, `end of tier`, `no profile`. */
  readonly owner: string;
  readonly endpoint: string;
  readonly direction: string;
  /** From 1; 0: an end. */
  readonly rule: number;
  readonly action: string;
  readonly words: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface CounterReport {
  readonly at: string;
  readonly rules: readonly CountedRule[];
}

/** `policy` as in trace's words, or its name with or without namespace; absent: all. */
export function policyCounters(report: CounterReport, policy: string | undefined): Output {
  const rules = report.rules.filter(({ owner }) => policy === undefined || isCalled(owner, policy));
  if (policy !== undefined && rules.length === 0)
    return {
      data: { ...report, rules },
      lines: [`no policy or profile '${policy}' applies to a pod or interface of this node`],
      failed: true,
    };
  const rows = rules
    .toSorted(inOrder)
    .map((one) => [
      one.tier,
      one.endpoint ? `${one.owner} (${one.endpoint})` : one.owner,
      one.direction,
      one.rule === 0 ? '' : String(one.rule),
      String(one.packets),
      String(one.bytes),
      one.words,
    ]);
  const headings = ['TIER', 'POLICY', 'DIRECTION', 'RULE', 'PACKETS', 'BYTES', 'WHAT'];
  return {
    data: { ...report, rules },
    lines: boxTable(headings, rows, ['RULE', 'PACKETS', 'BYTES']),
  };
}

// Tiers before profiles, policies before the tier's end.
function inOrder(a: CountedRule, b: CountedRule): number {
  const text = ({ tier, owner, endpoint, direction, rule }: CountedRule): string =>
    JSON.stringify([tier || '~', rule === 0 ? '~' : '', owner, endpoint, direction, 1000 + rule]);
  return text(a) < text(b) ? -1 : 1;
}

function isCalled(owner: string, policy: string): boolean {
  const name = owner.slice(owner.indexOf(' ') + 1);
  return [owner, name, name.slice(name.indexOf('/') + 1)].includes(policy);
}
