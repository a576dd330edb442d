// Evaluation of BGPFilters: ordered rules, of which the first that matches decides. Without a match
// the route goes on to whatever comes after the filters.
import type {
  BgpFilter,
  BgpFilterMatch,
  BgpFilterOperation,
  BgpFilterRule,
  PrefixMatch,
} from '../../../model/bgp-filter.ts';
import type { Family, Ip } from '../../../net/ip.ts';
import { matchesName } from '../../../net/name-pattern.ts';
import type { PathAttributes } from '../../codec/attributes.ts';
import type { AttributeSet, AttributeSets } from '../routes/attribute-sets.ts';
import type { Prefixes } from '../routes/prefixes.ts';
import { type Range, rangeOf } from '../routes/words.ts';
import { prepend } from './as-path.ts';
import { hasCommunity, withCommunities } from './communities.ts';
import { type Conditions, localPrefOf, priorityOf } from './conditions.ts';

/** A path and its prefix as a filter sees them. */
export interface Filtered {
  readonly set: AttributeSet;
  /** The peer that told it is of another AS. */
  readonly external: boolean;
  /** This node answers for the prefix itself. */
  readonly own: boolean;
  readonly prefixes: Prefixes;
  readonly prefix: number;
  readonly conditions: Conditions;
}

export const importRules = (filters: readonly BgpFilter[], family: Family) =>
  filters.flatMap((filter) => (family === 4 ? filter.importV4 : filter.importV6));
export const exportRules = (filters: readonly BgpFilter[], family: Family) =>
  filters.flatMap((filter) => (family === 4 ? filter.exportV4 : filter.exportV6));

/** The set as the first matching rule leaves it; a text: rejected. */
export function applyFilters(
  sets: AttributeSets,
  rules: readonly BgpFilterRule[],
  route: Filtered,
): AttributeSet | string {
  const rule = deciding(rules, route);
  if (!rule) return route.set;
  if (rule.action === 'reject') return 'rejected by a BGPFilter';
  return changed(sets, route.set, rule.operations);
}

/** The rule that decides; undefined: none matches. */
export const deciding = (
  rules: readonly BgpFilterRule[],
  route: Filtered,
): BgpFilterRule | undefined => rules.find(({ match }) => matches(match, route));

/** The set with the operations done. */
export function changed(
  sets: AttributeSets,
  set: AttributeSet,
  operations: readonly BgpFilterOperation[],
): AttributeSet {
  if (operations.length === 0) return set;
  const make = () => ({
    attributes: operations.reduce(operate, set.attributes),
    nextHop: set.nextHop,
  });
  return sets.intern(`${set.key}|${JSON.stringify(operations)}`, make);
}

function matches(match: BgpFilterMatch, route: Filtered): boolean {
  const { attributes, localPref, nextHop } = route.set;
  const { conditions, prefixes } = route;
  const { prefix, fromRemotePeers, peerType, community, asPathPrefix, priority } = match;
  return (
    (prefix === undefined || matchesPrefix(prefix, route)) &&
    (fromRemotePeers === undefined || !route.own) &&
    (peerType === undefined || (!route.own && (peerType === 'eBGP') === route.external)) &&
    (community === undefined || hasCommunity(attributes, community)) &&
    (asPathPrefix === undefined || beginsWith(attributes.asPath, asPathPrefix)) &&
    (priority === undefined ||
      priority === priorityOf(localPref, conditions.normalPriorities[prefixes.family])) &&
    (match.interface === undefined || (!route.own && isOver(match.interface, nextHop, conditions)))
  );
}

// An own prefix leads over no interface.
function isOver(pattern: string, nextHop: Ip, { interfaceTo }: Conditions): boolean {
  const name = interfaceTo(nextHop);
  return name !== undefined && matchesName(pattern, name);
}

/** Whether the filters' outcome hangs on the ways of next hops. */
export const asksForInterfaces = (filters: readonly BgpFilter[]): boolean =>
  filters.some(({ importV4, importV6, exportV4, exportV6 }) =>
    [importV4, importV6, exportV4, exportV6].flat().some((rule) => rule.match.interface),
  );

const ranges = new WeakMap<PrefixMatch, Range>();

function matchesPrefix(match: PrefixMatch, { prefixes, prefix }: Filtered): boolean {
  const range = ranges.get(match) ?? rangeOf(match.cidr);
  ranges.set(match, range);
  const bits = prefixes.bits(prefix);
  const holds =
    prefixes.isWithin(prefix, range) && bits >= match.lengthMin && bits <= match.lengthMax;
  return holds === (match.operator === 'in' || match.operator === 'equal');
}

function beginsWith(path: PathAttributes['asPath'], asns: readonly number[]): boolean {
  const flat = path.flatMap((segment) => segment.asns);
  return asns.every((asn, i) => flat[i] === asn);
}

function operate(attributes: PathAttributes, operation: BgpFilterOperation): PathAttributes {
  switch (operation.kind) {
    case 'addCommunity':
      return withCommunities(attributes, [operation.community]);
    case 'prependAsPath':
      return {
        ...attributes,
        asPath: operation.asns
          .toReversed()
          .reduce((path, asn) => prepend(asn, path), attributes.asPath),
      };
    case 'setPriority':
      return { ...attributes, localPref: localPrefOf(operation.priority) };
  }
}
