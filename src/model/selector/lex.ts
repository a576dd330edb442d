// Selector text -> tokens. Operator words (`in`, `contains` ...) are such only right after a label,
// so that labels may carry the same names.
import { fail, ok, type Result } from '../../base/result.ts';
import type { SelectorError } from './selector.ts';

export type Operator = '==' | '!=' | 'contains' | 'starts with' | 'ends with' | 'in' | 'not in';

export type Token = { readonly column: number } & (
  | { readonly kind: 'label' | 'string' | 'has'; readonly text: string }
  | { readonly kind: 'operator'; readonly operator: Operator }
  | { readonly kind: '(' | ')' | '{' | '}' | ',' | '!' | '&&' | '||' | 'all' | 'global' | 'end' }
);

/** Everything of a token but its place. */
type Bare = Token extends infer T ? (T extends Token ? Omit<T, 'column'> : never) : never;
type Lexed = { readonly token: Bare; readonly length: number } | { readonly error: string };

const BLANKS = /[ \t]*/y;
const LABEL = /[A-Za-z0-9_./-]+/y;
const LABEL_LENGTH_MAX = 512;
const WORD_OPERATOR =
  /(contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)(?![A-Za-z0-9_./-])/y;
const CALL = /(has|all|global)\([ \t]*/y;
const SYMBOLS = ['&&', '||', '==', '!=', '(', ')', '{', '}', ',', '!'] as const;

/** The tokens, closed by `end`. */
export function lex(text: string): Result<readonly Token[], SelectorError> {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    at += matchAt(BLANKS, text, at)?.[0].length ?? 0;
    const column = at + 1;
    if (at === text.length) return ok([...tokens, { kind: 'end', column }]);
    const lexed = next(text, at, tokens.at(-1)?.kind === 'label');
    if ('error' in lexed) return fail({ column, message: lexed.error });
    tokens.push({ ...lexed.token, column });
    at += lexed.length;
  }
}

function next(text: string, at: number, afterLabel: boolean): Lexed {
  const symbol = SYMBOLS.find((s) => text.startsWith(s, at));
  if (symbol === '==' || symbol === '!=')
    return { token: { kind: 'operator', operator: symbol }, length: 2 };
  if (symbol) return { token: { kind: symbol }, length: symbol.length };
  const first = text[at]!;
  if (first === '"' || first === "'") return quoted(text, at, first);
  const wanted = { '=': '==', '&': '&&', '|': '||' }[first];
  if (wanted) return { error: `expected ${wanted}` };
  return afterLabel ? operatorWord(text, at) : (call(text, at) ?? label(text, at));
}

function quoted(text: string, at: number, quote: string): Lexed {
  const end = text.indexOf(quote, at + 1);
  if (end < 0) return { error: 'unterminated string' };
  return { token: { kind: 'string', text: text.slice(at + 1, end) }, length: end + 1 - at };
}

function operatorWord(text: string, at: number): Lexed {
  const word = matchAt(WORD_OPERATOR, text, at)?.[1];
  if (word === undefined) return { error: 'expected an operator after the label' };
  const operator = (
    { c: 'contains', s: 'starts with', e: 'ends with', n: 'not in', i: 'in' } as const
  )[word[0] as 'c' | 's' | 'e' | 'n' | 'i'];
  return { token: { kind: 'operator', operator }, length: word.length };
}

function call(text: string, at: number): Lexed | undefined {
  const opening = matchAt(CALL, text, at);
  if (!opening) return undefined;
  const name = opening[1] as 'has' | 'all' | 'global';
  let end = at + opening[0].length;
  let argument = '';
  if (name === 'has') {
    argument = matchAt(LABEL, text, end)?.[0] ?? '';
    if (argument === '') return { error: 'no label name in has( expression' };
    if (argument.length > LABEL_LENGTH_MAX) return { error: 'the label name is too long' };
    end += argument.length;
    end += matchAt(BLANKS, text, end)?.[0].length ?? 0;
  }
  if (text[end] !== ')') return { error: `no closing ')' after ${name}(` };
  const length = end + 1 - at;
  return name === 'has'
    ? { token: { kind: 'has', text: argument }, length }
    : { token: { kind: name }, length };
}

function label(text: string, at: number): Lexed {
  const name = matchAt(LABEL, text, at)?.[0];
  if (name === undefined) return { error: 'unexpected characters' };
  if (name.length > LABEL_LENGTH_MAX) return { error: 'the label name is too long' };
  return { token: { kind: 'label', text: name }, length: name.length };
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
