// Progress a person can follow: what was done, how long it took, how long all took so far.

export interface Progress {
  /** Runs a step and prints its line when it is done, or when it failed. */
  step<T>(what: string, work: () => T | Promise<T>): Promise<T>;
  /** A line of its own within the running step. */
  note(text: string): void;
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)}s`;

export function openProgress(print: (line: string) => void = console.log): Progress {
  const begun = performance.now();
  const line = (text: string): void =>
    print(`${seconds(performance.now() - begun).padStart(8)}  ${text}`);
  return {
    async step(what, work) {
      const started = performance.now();
      const took = (): string => `(${seconds(performance.now() - started)})`;
      try {
        const answer = await work();
        line(`${what} ${took()}`);
        return answer;
      } catch (cause) {
        line(`${what}: failed ${took()}`);
        throw cause;
      }
    },
    note: (text) => line(`  ${text}`),
  };
}

/** Columns aligned by the longest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
