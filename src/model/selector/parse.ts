// Tokens -> tree, by recursive descent. `!` binds tighter than `&&`, and that than `||`.
import { fail, ok, type Result } from '../../base/result.ts';
import { lex, type Operator, type Token } from './lex.ts';
import {
  ALL,
  type Comparison,
  SELECTOR_DEPTH_MAX,
  type Selector,
  type SelectorError,
} from './selector.ts';

/** Parses a selector; the empty text is `all()`. Errors point at the column. */
export function parseSelector(text: string): Result<Selector, SelectorError> {
  const tokens = lex(text);
  if (!tokens.ok) return tokens;
  if (tokens.value.length === 1) return ok(ALL);
  try {
    const parser: Parser = { tokens: tokens.value, at: 0, depth: 0 };
    const selector = or(parser);
    if (peek(parser).kind !== 'end') refuse(parser, 'unexpected content at end of selector');
    return ok(selector);
  } catch (error) {
    if (error instanceof Refusal) return fail(error.why);
    throw error;
  }
}

interface Parser {
  readonly tokens: readonly Token[];
  at: number;
  depth: number;
}

class Refusal extends Error {
  readonly why: SelectorError;

  constructor(why: SelectorError) {
    super(why.message);
    this.why = why;
  }
}

const peek = (parser: Parser): Token => parser.tokens[parser.at]!;

function refuse(parser: Parser, message: string): never {
  throw new Refusal({ column: peek(parser).column, message });
}

function accept(parser: Parser, kind: Token['kind']): boolean {
  if (peek(parser).kind !== kind) return false;
  parser.at++;
  return true;
}

const or = (parser: Parser): Selector => joined(parser, 'or', '||', and);
const and = (parser: Parser): Selector => joined(parser, 'and', '&&', operation);

function joined(
  parser: Parser,
  kind: 'and' | 'or',
  separator: '&&' | '||',
  part: (parser: Parser) => Selector,
): Selector {
  const terms = [part(parser)];
  while (accept(parser, separator)) terms.push(part(parser));
  return terms.length === 1 ? terms[0]! : { kind, terms };
}

function operation(parser: Parser): Selector {
  let negated = false;
  while (accept(parser, '!')) negated = !negated;
  const term = unnegated(parser);
  return negated ? { kind: 'not', term } : term;
}

function unnegated(parser: Parser): Selector {
  const token = peek(parser);
  switch (token.kind) {
    case 'all':
    case 'global':
      parser.at++;
      return { kind: token.kind };
    case 'has':
      parser.at++;
      return { kind: 'has', label: token.text };
    case 'label':
      parser.at++;
      return comparison(parser, token.text);
    case '(':
      return parenthesis(parser);
    default:
      return refuse(parser, 'expected a label, has(), all(), global() or (');
  }
}

function parenthesis(parser: Parser): Selector {
  if (++parser.depth > SELECTOR_DEPTH_MAX) refuse(parser, 'too many nested parentheses');
  parser.at++;
  const inner = or(parser);
  if (!accept(parser, ')')) refuse(parser, "no closing ')'");
  parser.depth--;
  return inner;
}

const COMPARISONS: Readonly<Record<Exclude<Operator, 'in' | 'not in'>, Comparison>> = {
  '==': 'equals',
  '!=': 'notEquals',
  contains: 'contains',
  'starts with': 'startsWith',
  'ends with': 'endsWith',
};

function comparison(parser: Parser, label: string): Selector {
  const token = peek(parser);
  if (token.kind !== 'operator') return refuse(parser, 'expected an operator after the label');
  parser.at++;
  const { operator } = token;
  if (operator === 'in' || operator === 'not in') {
    const values = [...new Set(stringSet(parser))].sort();
    return { kind: operator === 'in' ? 'in' : 'notIn', label, values };
  }
  const value = peek(parser);
  if (value.kind !== 'string') return refuse(parser, 'expected a quoted string');
  parser.at++;
  return { kind: COMPARISONS[operator], label, value: value.text };
}

function stringSet(parser: Parser): readonly string[] {
  if (!accept(parser, '{')) refuse(parser, 'expected a set such as {"a", "b"}');
  const values: string[] = [];
  while (!accept(parser, '}')) {
    const token = peek(parser);
    if (token.kind !== 'string') return refuse(parser, 'expected a quoted string or }');
    parser.at++;
    values.push(token.text);
    if (!accept(parser, ',') && peek(parser).kind !== '}') refuse(parser, 'expected , or }');
  }
  return values;
}
