// What a command answers: the text that people read, the same as data for `-o json`, and whether the
// command failed. Commands compute it; main.ts prints it.
import { printJson } from '../base/json.ts';

export interface Output {
  readonly lines: readonly string[];
  readonly data: unknown;
  /** The program ends with 1. */
  readonly failed?: boolean;
}

/** The text to print, without the last line's end. */
export const textOf = ({ lines, data }: Output, json: boolean): string =>
  json ? indented(data) : lines.join('\n');

// Through printJson, which knows integers beyond 2^53.
const indented = (data: unknown): string => {
  const compact = printJson(data);
  return /\d{16,}/.test(compact) ? compact : JSON.stringify(JSON.parse(compact), null, 2);
};

/** calicoctl's box table. Columns in `right` are aligned to the right. */
export function boxTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): readonly string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const line = (cells: readonly string[], isHeading: boolean): string =>
    `|${cells
      .map((cell, column) =>
        !isHeading && right.includes(headings[column]!)
          ? ` ${cell.padStart(widths[column]!)} `
          : ` ${cell.padEnd(widths[column]!)} `,
      )
      .join('|')}|`;
  return [rule, line(headings, true), rule, ...rows.map((row) => line(row, false)), rule];
}
