// Progress a person can follow: what was done, how long it took, how long all took so far.

export interface Progress {
  /** Runs a step and prints its line when it is done. */
  step<T>(what: string, work: () => T | Promise<T>): Promise<T>;
  /** A line of its own under the running step. */
  note(text: string): void;
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)}s`;

export function openProgress(print: (line: string) => void = console.log): Progress {
  const begun = performance.now();
  return {
    async step(what, work) {
      const started = performance.now();
      const answer = await work();
      const now = performance.now();
      print(`${seconds(now - begun).padStart(8)}  ${what} (${seconds(now - started)})`);
      return answer;
    },
    note: (text) => print(`${''.padStart(10)}${text}`),
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
