// Who calls whom in a connectivity test, and what is said of the answers.
import type { Output } from '../output.ts';
import { type Answer, addressesOf, type Call, roleOf, type TestPod } from './objects.ts';

export interface Outcome {
  readonly check: string;
  readonly passed: boolean;
  readonly words: string;
}

const nodeOf = ({ spec, metadata }: TestPod): string => spec.nodeName ?? metadata.name;

/** What a pod of `node` calls: the pods of all nodes, its own node's included, and the service. */
export function openCalls(
  node: string,
  pods: readonly TestPod[],
  service: readonly string[],
): readonly Call[] {
  const toPods = pods.flatMap((to) =>
    addressesOf(to).flatMap((address) =>
      (['/hello', '/bulk'] as const).map((path): Call => {
        const big = path === '/bulk' ? ', 1 MiB' : '';
        return { to: address, path, words: `${node} -> ${address} on ${nodeOf(to)}${big}` };
      }),
    ),
  );
  const toService = service.map(
    (to): Call => ({ to, path: '/hello', words: `${node} -> service ${to}` }),
  );
  return [...toPods, ...toService];
}

/** The calls that the policy forbids. */
export const guardedCalls = (node: string, pods: readonly TestPod[]): readonly Call[] =>
  openCalls(
    node,
    pods.filter((pod) => roleOf(pod) === 'guarded'),
    [],
  ).filter(({ path }) => path === '/hello');

/** One line for each check; those that failed say why, each on a line below. */
export function report(outcomes: readonly Outcome[], seconds: number): Output {
  const failed = outcomes.filter(({ passed }) => !passed);
  const line = ({ check, passed, words }: Outcome) =>
    `${passed ? 'ok  ' : 'FAIL'}  ${check}: ${words}`;
  const sum =
    failed.length === 0
      ? `all ${outcomes.length} checks passed in ${seconds} s`
      : `${failed.length} of ${outcomes.length} checks failed`;
  return {
    lines: [...outcomes.map(line), sum],
    data: { passed: failed.length === 0, seconds, checks: outcomes },
    failed: failed.length > 0,
  };
}

const SHOWN_MAX = 5;

/** The outcome of many calls under one name. */
export function outcomeOf(check: string, answers: readonly Answer[], wanted: boolean): Outcome {
  const wrong = answers.filter(({ ok }) => ok !== wanted);
  const slowest = Math.max(0, ...answers.map(({ ms }) => ms));
  if (answers.length === 0) return { check, passed: false, words: 'nobody called' };
  if (wrong.length === 0) {
    const words = wanted ? `calls, slowest ${slowest} ms` : 'calls stopped';
    const again = answers.filter(({ tries = 1 }) => tries > 1).length;
    const more = again > 0 ? `, ${again} after more than one try` : '';
    return { check, passed: true, words: `${answers.length} ${words}${more}` };
  }
  const said = wrong
    .slice(0, SHOWN_MAX)
    .map(({ call, words }) => `\n      ${call.words}: ${words}`);
  const more = wrong.length > SHOWN_MAX ? `\n      and ${wrong.length - SHOWN_MAX} more` : '';
  const words = `${wrong.length} of ${answers.length}${said.join('')}${more}`;
  return { check, passed: false, words };
}
