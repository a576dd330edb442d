// What every controller tells about itself.
import type { KindWatch } from './kind-watch.io.ts';

export interface Controller {
  /** What it still waits for or has lost; undefined when all is well. */
  readonly problem: string | undefined;
  /** Keys whose last write failed; they are tried again. */
  readonly failing: readonly string[];
}

export const controllerOf = (watch: KindWatch, failing: () => readonly string[]): Controller => ({
  get problem() {
    return watch.problem;
  },
  get failing() {
    return failing();
  },
});

/** Several as one. */
export const together = (...all: readonly Controller[]): Controller => ({
  get problem() {
    return all.find(({ problem }) => problem !== undefined)?.problem;
  },
  get failing() {
    return all.flatMap(({ failing }) => failing);
  },
});

const FAILING_SHOWN = 3;

/** Every problem by name: the text of the readiness probe. */
export function problemsOf(
  datastore: string | undefined,
  controllers: ReadonlyMap<string, Controller>,
): readonly string[] {
  return [
    ...(datastore ? [datastore] : []),
    ...[...controllers].flatMap(([name, { problem, failing }]) => [
      ...(problem ? [`${name}: ${problem}`] : []),
      ...failing.slice(0, FAILING_SHOWN).map((key) => `${name}: ${key} cannot be written yet`),
    ]),
  ];
}
