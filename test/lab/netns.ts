// Network namespaces of a test: made by name, removed by the test that made them.
import { attempt, run } from './command.ts';

export const netnsPath = (name: string): string => `/run/netns/${name}`;

export interface TestNetns {
  readonly name: string;
  remove(): void;
}

/** Makes a namespace with the loopback up. What did not come up leaves nothing behind. */
export function createNetns(name: string): TestNetns {
  run(['ip', 'netns', 'add', name]);
  try {
    run(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
  } catch (cause) {
    deleteNetns(name);
    throw cause;
  }
  return { name, remove: () => deleteNetns(name) };
}

/** An absent one is fine. */
export const deleteNetns = (name: string): void => void attempt(['ip', 'netns', 'delete', name]);

/** Makes `<prefix>-<suffix>` for each suffix: all of them or none. */
export function withNetns(prefix: string, suffixes: readonly string[]): readonly TestNetns[] {
  const made: TestNetns[] = [];
  try {
    for (const suffix of suffixes) made.push(createNetns(`${prefix}-${suffix}`));
    return made;
  } catch (cause) {
    for (const { remove } of made) remove();
    throw cause;
  }
}

/** Runs `work` in `count` fresh namespaces `<prefix>-1` ...; they go whatever happens. */
export async function inFreshNetns<T>(
  prefix: string,
  count: number,
  work: (names: readonly string[], paths: readonly string[]) => T | Promise<T>,
): Promise<T> {
  const made = withNetns(
    prefix,
    Array.from({ length: count }, (_, i) => `${i + 1}`),
  );
  try {
    const names = made.map(({ name }) => name);
    return await work(names, names.map(netnsPath));
  } finally {
    for (const { remove } of made) remove();
  }
}
