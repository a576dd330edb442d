// BGPFilter: ordered rules about which routes a peer may tell or be told, and what is changed in
// them on the way. The stored spec is parsed once into the typed value that the routing table
// evaluates; a filter that cannot be read is refused whole, since half a filter would let through
// what the other half keeps out.
import type { Json } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import type { Asn } from '../net/asn.ts';
import { type Cidr, cidrFamily, prefixLengthOf } from '../net/cidr.ts';
import { type Community, parseCommunity } from '../net/community.ts';
import { bitsOf, type Family } from '../net/ip.ts';
import {
  asnOf,
  type Fields,
  fieldsOf,
  listOf,
  nameOf,
  nested,
  objects,
  parsed,
  prefix,
  text,
  whole,
  withoutAbsent,
  word,
} from './reading/fields.ts';

export interface BgpFilter {
  readonly name: string;
  readonly importV4: readonly BgpFilterRule[];
  readonly exportV4: readonly BgpFilterRule[];
  readonly importV6: readonly BgpFilterRule[];
  readonly exportV6: readonly BgpFilterRule[];
}

/** The first rule of which all given conditions hold decides. */
export interface BgpFilterRule {
  readonly match: BgpFilterMatch;
  readonly action: 'accept' | 'reject';
  /** In order; only with `accept`. */
  readonly operations: readonly BgpFilterOperation[];
}

/** Conditions; absent ones hold for every route. */
export interface BgpFilterMatch {
  readonly prefix?: PrefixMatch;
  /** Only routes that BGP peers told. */
  readonly fromRemotePeers?: true;
  /** The interface of the route's next hop; `*` stands for any run of characters. */
  readonly interface?: string;
  readonly peerType?: 'eBGP' | 'iBGP';
  readonly community?: Community;
  /** The AS_PATH begins with these. */
  readonly asPathPrefix?: readonly Asn[];
  /** The metric of the route in the kernel, 1 to 2147483646. */
  readonly priority?: number;
}

/** `in`: inside `cidr` and of a length within the bounds; the negations hold for all other routes. */
export interface PrefixMatch {
  readonly cidr: Cidr;
  readonly operator: 'equal' | 'notEqual' | 'in' | 'notIn';
  /** Never below the length of `cidr`; for `equal` and `notEqual` both are that length. */
  readonly lengthMin: number;
  readonly lengthMax: number;
}

export type BgpFilterOperation =
  | { readonly kind: 'addCommunity'; readonly community: Community }
  /** In the order in which the AS_PATH then begins. */
  | { readonly kind: 'prependAsPath'; readonly asns: readonly Asn[] }
  | { readonly kind: 'setPriority'; readonly priority: number };

/** Parses a stored spec. Errors: all that is wrong, in one line. */
export function parseBgpFilter(name: string, spec: Json): Result<BgpFilter> {
  const problems: string[] = [];
  const fields = fieldsOf(spec, problems);
  const rules = (field: string, family: Family) =>
    objects(fields, field, (rule) => parseRule(rule, family)) ?? [];
  const filter: BgpFilter = {
    name,
    importV4: rules('importV4', 4),
    exportV4: rules('exportV4', 4),
    importV6: rules('importV6', 6),
    exportV6: rules('exportV6', 6),
  };
  return problems.length > 0 ? fail(`BGPFilter ${name}: ${problems.join('; ')}`) : ok(filter);
}

/** Stands for a filter that is missing or cannot be read: nothing passes. */
export function rejectingFilter(name: string): BgpFilter {
  const all: readonly BgpFilterRule[] = [{ match: {}, action: 'reject', operations: [] }];
  return { name, importV4: all, exportV4: all, importV6: all, exportV6: all };
}

const PRIORITY_MAX = 2147483646;
const OPERATIONS_MAX = 10;

function parseRule(rule: Fields, family: Family): BgpFilterRule | undefined {
  const action = word(rule, 'action', ['Accept', 'Reject']);
  const operations = objects(rule, 'operations', parseOperation) ?? [];
  const match: BgpFilterMatch = withoutAbsent({
    prefix: parsePrefixMatch(rule, family),
    fromRemotePeers: word(rule, 'source', ['RemotePeers']) && (true as const),
    interface: text(rule, 'interface'),
    peerType: word(rule, 'peerType', ['eBGP', 'iBGP']),
    community: parseCommunityMatch(rule),
    asPathPrefix: listOf(rule, 'asPathPrefix', 'AS number', asnOf),
    priority: whole(rule, 'priority', 1, PRIORITY_MAX),
  });
  if (!action) rule.problems.push(`${nameOf(rule, 'action')} must be Accept or Reject`);
  if (action === 'Reject' && operations.length > 0)
    rule.problems.push(`${nameOf(rule, 'operations')} go with Accept only`);
  if (operations.length > OPERATIONS_MAX)
    rule.problems.push(`${nameOf(rule, 'operations')}: more than ${OPERATIONS_MAX}`);
  return { match, action: action === 'Accept' ? 'accept' : 'reject', operations };
}

const OPERATORS = { Equal: 'equal', NotEqual: 'notEqual', In: 'in', NotIn: 'notIn' } as const;

function parsePrefixMatch(rule: Fields, family: Family): PrefixMatch | undefined {
  const cidr = prefix(rule, 'cidr');
  const relation = word(rule, 'matchOperator', ['Equal', 'NotEqual', 'In', 'NotIn']);
  const bounds = nested(rule, 'prefixLength');
  const bits = bitsOf(family);
  const [min, max] = bounds
    ? [whole(bounds, 'min', 0, bits), whole(bounds, 'max', 0, bits)]
    : [undefined, undefined];
  if (cidr && cidrFamily(cidr) !== family)
    rule.problems.push(`${nameOf(rule, 'cidr')}: '${cidr}' is no IPv${family} CIDR`);
  if ((cidr === undefined) !== (relation === undefined))
    rule.problems.push(`${nameOf(rule, 'cidr')} and matchOperator go together`);
  if (bounds && !cidr) rule.problems.push(`${nameOf(rule, 'prefixLength')} needs a cidr`);
  if (!cidr || !relation) return undefined;
  const [operator, length] = [OPERATORS[relation], prefixLengthOf(cidr)];
  if (operator === 'equal' || operator === 'notEqual') {
    if (bounds) rule.problems.push(`${nameOf(rule, 'prefixLength')} goes with In and NotIn only`);
    return { cidr, operator, lengthMin: length, lengthMax: length };
  }
  return { cidr, operator, lengthMin: Math.max(length, min ?? length), lengthMax: max ?? bits };
}

const communityOf = (value: Json): Community | undefined =>
  typeof value === 'string' ? parseCommunity(value) : undefined;

function parseCommunityMatch(rule: Fields): Community | undefined {
  const communities = nested(rule, 'communities');
  if (!communities) return undefined;
  const values = listOf(communities, 'values', 'community', communityOf) ?? [];
  if (values.length !== 1)
    rule.problems.push(`${nameOf(communities, 'values')} must hold exactly one community`);
  return values[0];
}

function parseOperation(operation: Fields): BgpFilterOperation | undefined {
  const [add, prepend, set] = ['addCommunity', 'prependASPath', 'setPriority'].map((field) =>
    nested(operation, field),
  );
  if ([add, prepend, set].filter(Boolean).length !== 1)
    operation.problems.push(`${operation.path} must hold exactly one operation`);
  const community = add && parsed(add, 'value', 'community', communityOf);
  if (community) return { kind: 'addCommunity', community };
  const asns = prepend && listOf(prepend, 'prefix', 'AS number', asnOf);
  if (asns && asns.length > 0 && asns.length <= OPERATIONS_MAX)
    return { kind: 'prependAsPath', asns };
  const priority = set && whole(set, 'value', 1, PRIORITY_MAX);
  if (priority) return { kind: 'setPriority', priority };
  operation.problems.push(`${operation.path} has no usable value`);
  return undefined;
}
