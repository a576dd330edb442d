// What a run of the suite says, from ginkgo's JSON report, and the table of several runs.
import { table } from '../cluster/progress.ts';

export interface Result {
  readonly name: string;
  /** Ginkgo's word: passed, failed, skipped, timedout, interrupted, panicked, pending, aborted. */
  readonly state: string;
  readonly seconds: number;
  /** Of a failure or a skip; empty when passed. */
  readonly message: string;
}

interface Report {
  readonly SpecReports?: readonly {
    readonly ContainerHierarchyTexts?: readonly string[] | null;
    readonly LeafNodeText: string;
    readonly LeafNodeType: string;
    readonly State: string;
    /** Nanoseconds. */
    readonly RunTime: number;
    readonly Failure?: { readonly Message?: string };
  }[];
}

/** Every spec of the suite, run or not; what is no spec (set-up, clean-up) only when it failed. */
export function readReport(text: string): readonly Result[] {
  const suites = JSON.parse(text) as readonly Report[];
  return suites
    .flatMap((suite) => suite.SpecReports ?? [])
    .map((spec) => ({
      isSpec: spec.LeafNodeType === 'It',
      name: nameOf(spec),
      state: spec.State,
      seconds: spec.RunTime / 1e9,
      message: spec.Failure?.Message ?? '',
    }))
    .filter(({ isSpec, state }) => isSpec || !['passed', 'skipped'].includes(state))
    .map(({ name, state, seconds, message }) => ({ name, state, seconds, message }));
}

const nameOf = (spec: {
  readonly ContainerHierarchyTexts?: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly LeafNodeType: string;
}): string => {
  const words = [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText];
  return words.join(' ').trim() || `[${spec.LeafNodeType}]`;
};

/** A row a spec, a column a round; specs that did not pass in every round first. */
export function resultTable(rounds: readonly (readonly Result[])[]): string {
  const names = [...new Set(rounds.flatMap((round) => round.map(({ name }) => name)))];
  const rows = names.map((name) => {
    const results = rounds.map((round) => round.find((result) => result.name === name));
    return { name, results, good: results.every((result) => result?.state === 'passed') };
  });
  const cell = (result: Result | undefined): string =>
    result ? `${result.state} ${result.seconds.toFixed(0)}s` : 'not run';
  const sorted = [...rows.filter((row) => !row.good), ...rows.filter((row) => row.good)];
  return table([
    [...rounds.map((_, i) => `ROUND ${i + 1}`), 'SPEC'],
    ...sorted.map((row) => [...row.results.map(cell), row.name]),
  ]);
}

/** `45 of 45 passed (3 rounds)`, and whether that is so. */
export function verdict(
  chosen: readonly string[],
  rounds: readonly (readonly Result[])[],
): { readonly ok: boolean; readonly text: string } {
  const wrong = (round: readonly Result[]): readonly Result[] =>
    round.filter((result) => result.state !== 'passed');
  const passed = chosen.filter((name) =>
    rounds.every((round) => round.some((r) => r.name === name && r.state === 'passed')),
  );
  const counted = rounds.length === 1 ? '' : ` in each of ${rounds.length} rounds`;
  return {
    ok: passed.length === chosen.length && rounds.every((round) => wrong(round).length === 0),
    text: `${passed.length} of ${chosen.length} specs passed${counted}`,
  };
}
