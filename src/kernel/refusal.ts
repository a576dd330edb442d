// What a restore command says when it refuses something: its words in one line, and the line of the
// transaction that they mean.

const LENGTH_MAX = 1000;

/**
 * Index of the refused line among the lines of a transaction; undefined when the words name none.
 * The command counts every line that it has read: `linesBefore` is how many came before these.
 */
export function refusedIndex(errors: string, linesBefore: number): number | undefined {
  // `line 7 failed`, `line 8: CHAIN_DEL failed`, `Error occurred at line: 9`, `Error in line 6: ...`
  const number = /\bline:? (\d+)/.exec(errors)?.[1];
  return number === undefined ? undefined : Number(number) - linesBefore - 1;
}

/** `errors` is what the command wrote on stderr; undefined when it wrote nothing. */
export function refusalText(
  errors: string,
  linesBefore: number,
  lines: readonly string[],
): string | undefined {
  const said = errors
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('Try `'));
  if (said.length === 0) return undefined;
  const refused = lines[refusedIndex(errors, linesBefore) ?? -1];
  // At COMMIT the command only finds out what was wrong before.
  const named = refused && refused !== 'COMMIT' ? `, refused: ${refused}` : '';
  return `${said.join(' ')}${named}`.slice(0, LENGTH_MAX);
}
