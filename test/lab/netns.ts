// Network namespaces of a test: made by name, removed by the test that made them.
import { attempt, run } from './command.ts';

export const netnsPath = (name: string): string => `/run/netns/${name}`;

export interface TestNetns {
  readonly name: string;
  remove(): void;
}

/** Makes `<prefix>-<suffix>` for each suffix, with the loopback up. */
export function withNetns(prefix: string, suffixes: readonly string[]): readonly TestNetns[] {
  return suffixes.map((suffix) => {
    const name = `${prefix}-${suffix}`;
    run(['ip', 'netns', 'add', name]);
    run(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
    return { name, remove: () => void attempt(['ip', 'netns', 'delete', name]) };
  });
}
