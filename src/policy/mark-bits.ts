// The bits of the packet mark. Rules are made with those of the default mask; under another one
// (FelixConfiguration iptablesMarkMask) each is moved to its place, the lowest first.
import type { RuleSettings } from './read/rule-settings.ts';
import type { Rule } from './render/rule.ts';

export const DEFAULT_MARK_MASK = 0xffff0000;

/** Bits of the packet mark, from mask 0xffff0000, lowest first. */
export const MARK = {
  /** Policy allowed the packet. */
  accept: 0x10000,
  /** Skip to the next tier. */
  pass: 0x20000,
  drop: 0x40000,
  /** All blocks of a rule so far; in raw PREROUTING: came from a workload. */
  scratch0: 0x80000,
  /** This block of a rule. */
  scratch1: 0x100000,
} as const;

/** Cleared before anything is decided; `drop` is never left set on a living packet. */
export const ALL_MARKS = MARK.accept | MARK.pass | MARK.scratch0 | MARK.scratch1;

const BITS = Object.values(MARK).sort((a, b) => a - b);
const MARKED = /(--mark|--set-mark) (\S+)\/(\S+)/g;

const bitsOf = (mask: number): readonly number[] =>
  Array.from({ length: 32 }, (_, i) => 2 ** i).filter((bit) => Math.floor(mask / bit) % 2 === 1);

/** Whether the mask has a place for every bit. */
export const isMarkMask = (mask: number): boolean =>
  Number.isInteger(mask) && mask > 0 && mask <= 0xffffffff && bitsOf(mask).length >= BITS.length;

/** How packets that policy accepted are known behind our rules, and whom it is asked about. */
export interface Acceptance {
  readonly acceptMark: number;
  readonly interfacePrefixes: readonly string[];
}

/** Undefined: others' rules may accept packets before ours. */
export function acceptanceOf({
  markMask,
  interfacePrefixes,
  insertMode,
}: RuleSettings): Acceptance | undefined {
  if (insertMode === 'append') return undefined;
  return { acceptMark: bitsOf(markMask)[0]!, interfacePrefixes };
}

export interface MarkBits {
  move(rule: Rule): Rule;
}

/** Undefined: they are where rules are made with them. */
export function markBits(mask: number): MarkBits | undefined {
  const places = bitsOf(mask);
  if (BITS.every((bit, i) => places[i] === bit)) return undefined;
  const number = (text: string): string => {
    const moved = BITS.reduce(
      (sum, bit, i) => sum + (Math.floor(Number(text) / bit) % 2) * places[i]!,
      0,
    );
    return moved === 0 ? text : `0x${moved.toString(16)}`; // 0 is spelled in two ways
  };
  const text = (part: string): string =>
    part.replace(MARKED, (_, word, mark, of) => `${word} ${number(mark)}/${number(of)}`);
  return {
    move: (rule) => ({
      ...rule,
      match: text(rule.match),
      action: rule.action.startsWith('--jump MARK ') ? text(rule.action) : rule.action,
    }),
  };
}
