// What a restore command says when it refuses something: its words in one line, and the line of the
// transaction that they mean.

const LENGTH_MAX = 1000;

/**
 * `errors` is what the command wrote on stderr. It counts every line that it has read, so
 * `linesBefore` is how many it had read when `lines` came.
 */
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
  // `line 7 failed`, `line 8: CHAIN_DEL failed`, `Error occurred at line: 9`, `Error in line 6: ...`
  const number = /\bline:? (\d+)/.exec(errors)?.[1];
  const refused = number === undefined ? undefined : lines[Number(number) - linesBefore - 1];
  // At COMMIT the command only finds out what was wrong before.
  const named = refused && refused !== 'COMMIT' ? `, refused: ${refused}` : '';
  return `${said.join(' ')}${named}`.slice(0, LENGTH_MAX);
}
