// BGPConfiguration's `ignoredInterfaces`: links over which no next hop is looked for, whatever the
// kernel's routes say. (Networks of links are never told to peers, ignored or not.)

/** Whether a link is meant by one of the patterns; `*` stands for any run of characters. */
export function isIgnored(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(pattern.split('*'), name));
}

function matches(pieces: readonly string[], name: string): boolean {
  const [first = '', ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = name.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
