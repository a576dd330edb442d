// Who calls whom in a connectivity test, and what is said of the answers.
import type { Output } from '../output.ts';
import { addressesOf, isGuarded, isProbe, type TestPod } from './objects.ts';

export interface Probe {
  /** Name of the pod that calls. */
  readonly from: string;
  /** An address. */
  readonly to: string;
  readonly path: '/hello' | '/bulk';
  readonly words: string;
}

export interface ProbeAnswer {
  readonly ok: boolean;
  /** What went wrong, or what came. */
  readonly words: string;
  readonly ms: number;
}

export interface Outcome {
  readonly check: string;
  readonly passed: boolean;
  readonly words: string;
}

const nodeOf = ({ spec, metadata }: TestPod): string => spec.nodeName ?? metadata.name;

/** Every pod of a node calls the pods of all nodes, its own included, and the service. */
export function openProbes(pods: readonly TestPod[], service: readonly string[]): readonly Probe[] {
  const probes = pods.filter(isProbe);
  return probes.flatMap((from) => [
    ...pods
      .filter((to) => to !== from)
      .flatMap((to) =>
        addressesOf(to).flatMap((address) =>
          (['/hello', '/bulk'] as const).map((path) => ({
            from: from.metadata.name,
            to: address,
            path,
            words: `${nodeOf(from)} -> ${address} on ${nodeOf(to)}${path === '/bulk' ? ', 1 MiB' : ''}`,
          })),
        ),
      ),
    ...service.map((address) => ({
      from: from.metadata.name,
      to: address,
      path: '/hello' as const,
      words: `${nodeOf(from)} -> service ${address}`,
    })),
  ]);
}

/** The calls that a policy forbids. */
export const guardedProbes = (pods: readonly TestPod[]): readonly Probe[] =>
  openProbes(pods, []).filter(
    ({ to, path }) =>
      path === '/hello' && pods.some((pod) => isGuarded(pod) && addressesOf(pod).includes(to)),
  );

/** One line for each check; those that failed say why, each on a line below. */
export function report(outcomes: readonly Outcome[], seconds: number): Output {
  const failed = outcomes.filter(({ passed }) => !passed);
  return {
    lines: [
      ...outcomes.map(
        ({ check, passed, words }) => `${passed ? 'ok  ' : 'FAIL'}  ${check}: ${words}`,
      ),
      failed.length === 0
        ? `all ${outcomes.length} checks passed in ${seconds} s`
        : `${failed.length} of ${outcomes.length} checks failed`,
    ],
    data: { passed: failed.length === 0, seconds, checks: outcomes },
    failed: failed.length > 0,
  };
}

/** The outcome of many calls under one name. */
export function outcomeOf(
  check: string,
  answers: readonly { readonly probe: Probe; readonly answer: ProbeAnswer }[],
  wanted: boolean,
): Outcome {
  const wrong = answers.filter(({ answer }) => answer.ok !== wanted);
  const slowest = Math.max(0, ...answers.map(({ answer }) => answer.ms));
  if (answers.length === 0) return { check, passed: false, words: 'nobody to call' };
  if (wrong.length === 0) {
    const words = wanted
      ? `${answers.length} calls, slowest ${slowest} ms`
      : `${answers.length} calls stopped`;
    return { check, passed: true, words };
  }
  const said = wrong
    .slice(0, 5)
    .map(({ probe, answer }) => `\n      ${probe.words}: ${answer.words}`);
  const more = wrong.length > 5 ? `\n      and ${wrong.length - 5} more` : '';
  return {
    check,
    passed: false,
    words: `${wrong.length} of ${answers.length}${said.join('')}${more}`,
  };
}
