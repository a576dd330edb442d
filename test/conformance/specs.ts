// Which specs of the suite run. A list is a text file: a line `focus REGEX` says what it covers; each
// spec that the regex finds in the suite has one line, `FATE NAME`, so that a spec that appears or
// goes with another release is noticed; `why FATE TEXT` explains a fate other than these:
//   ci     runs, and belongs to the subset of the cluster rung
//   run    runs

export interface SpecList {
  readonly focus: RegExp;
  /** Fate by the spec's full name. */
  readonly fates: ReadonlyMap<string, string>;
  /** Why specs of a fate are left out. */
  readonly reasons: ReadonlyMap<string, string>;
}

const RUNS = ['ci', 'run'];

/** Reads a list; throws with the line that is wrong, for a list is part of this project. */
export function parseList(text: string): SpecList {
  let focus: RegExp | undefined;
  const [fates, reasons] = [new Map<string, string>(), new Map<string, string>()];
  for (const line of text.split('\n').filter((l) => l.trim() !== '' && !l.startsWith('#'))) {
    const [, word, rest] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (word === undefined || rest === undefined) throw new Error(`no fate and name: ${line}`);
    if (word === 'focus') focus = new RegExp(rest);
    else if (word === 'why') {
      const [, fate, reason] = /^(\S+)\s+(.*)$/.exec(rest) ?? [];
      if (fate === undefined || reason === undefined) throw new Error(`no reason: ${line}`);
      reasons.set(fate, reason);
    } else if (fates.has(rest)) throw new Error(`listed twice: ${rest}`);
    else if (!RUNS.includes(word) && !reasons.has(word)) throw new Error(`no such fate: ${line}`);
    else fates.set(rest, word);
  }
  if (!focus) throw new Error('no line `focus REGEX`');
  return { focus, fates, reasons };
}

/** Where list and suite differ, in words; empty when they agree. `suite`: every spec's name. */
export function differences(list: SpecList, suite: readonly string[]): readonly string[] {
  const found = suite.filter((name) => list.focus.test(name));
  const known = new Set(found);
  return [
    ...found.filter((name) => !list.fates.has(name)).map((name) => `not listed: ${name}`),
    ...[...list.fates.keys()]
      .filter((name) => !known.has(name))
      .map((name) => `not in the suite: ${name}`),
  ];
}

export interface LeftOut {
  readonly why: string;
  readonly names: readonly string[];
}

export interface Choice {
  readonly runs: readonly string[];
  readonly leftOut: readonly LeftOut[];
}

/** The specs that run, and what is left out for which reason. `also`: fates that run here, too. */
export function choose(
  list: SpecList,
  { only = [], also = [] }: { only?: readonly string[]; also?: readonly string[] } = {},
): Choice {
  const wanted = only.length > 0 ? only : [...RUNS, ...also];
  const fates = [...list.fates];
  const leftOut = [...list.reasons]
    .filter(([fate]) => !wanted.includes(fate))
    .map(([fate, why]) => ({ why, names: fates.filter(([, f]) => f === fate).map(([n]) => n) }));
  return { runs: fates.filter(([, f]) => wanted.includes(f)).map(([n]) => n), leftOut };
}

/** A choice without the names that SKIP matches, which becomes a reason of its own. */
export function without(choice: Choice, skip: string): Choice {
  if (skip === '') return choice;
  const names = choice.runs.filter((name) => new RegExp(skip).test(name));
  const runs = choice.runs.filter((name) => !names.includes(name));
  return { runs, leftOut: [...choice.leftOut, { why: `SKIP=${skip}`, names }] };
}

/** A regular expression (RE2) that matches exactly these names at the end of a spec's text. */
export const exactly = (names: readonly string[]): string =>
  `(?:${names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|')})$`;
