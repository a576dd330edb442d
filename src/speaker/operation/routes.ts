// The routing table as /routes tells it: one line of JSON for each prefix.
import type { AsSegment, PathAttributes } from '../../bgp/codec/attributes.ts';
import { type DesiredPeer, endpointOf } from '../../bgp/peers.ts';
import type { PathReport, RouteReport } from '../../bgp/status.ts';
import { DEFAULT_LOCAL_PREF } from '../../bgp/table/routes/attribute-sets.ts';
import type { Table } from '../../bgp/table/table.ts';
import type { PathReport as TablePath } from '../../bgp/table/why.ts';
import type { Cidr } from '../../net/cidr.ts';
import { printCommunity } from '../../net/community.ts';

/** The whole table, or one prefix of it. */
export function* routesOf(
  table: Pick<Table, 'why' | 'prefixes'>,
  peers: readonly { readonly peer: DesiredPeer }[],
  prefix?: Cidr,
): Generator<RouteReport> {
  const names = new Map(peers.map(({ peer }) => [endpointOf(peer), peer.name]));
  for (const one of prefix ? [prefix] : table.prefixes()) {
    const report = routeReport(table, one, (key) => names.get(key) ?? key);
    if (report) yield report;
  }
}

/** Undefined: nobody tells of the prefix. `nameOf` gives a peer's name from its key in the table. */
function routeReport(
  table: Pick<Table, 'why'>,
  prefix: Cidr,
  nameOf: (key: string) => string,
): RouteReport | undefined {
  const paths = table.why(prefix);
  return paths.length === 0
    ? undefined
    : { prefix, paths: paths.map((path) => pathReport(path, nameOf)) };
}

function pathReport(path: TablePath, nameOf: (key: string) => string): PathReport {
  const { peer, nextHop, attributes, stale } = path;
  return {
    ...(peer === undefined ? {} : { peer: nameOf(peer), nextHop }),
    asPath: textOfAsPath(attributes.asPath),
    origin: attributes.origin,
    localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF,
    ...(attributes.med === undefined ? {} : { med: attributes.med }),
    communities: communitiesOf(attributes),
    stale,
    ...rankOf(path),
  };
}

function rankOf({ lost, equal, refusal }: TablePath): Pick<PathReport, 'rank' | 'why'> {
  if (lost === undefined) return { rank: 'best' };
  if (lost === 'not accepted')
    return { rank: 'unusable', why: refusal ? `${lost}: ${refusal}` : lost };
  return { rank: equal ? 'equal' : 'worse', why: lost };
}

const BRACKETS: Readonly<Record<AsSegment['kind'], readonly [string, string, string]>> = {
  sequence: ['', ' ', ''],
  set: ['{', ',', '}'],
  confederationSequence: ['(', ' ', ')'],
  confederationSet: ['[', ',', ']'],
};

const textOfAsPath = (path: readonly AsSegment[]): string =>
  path
    .map(({ kind, asns }) => {
      const [open, between, close] = BRACKETS[kind];
      return `${open}${asns.join(between)}${close}`;
    })
    .join(' ');

/** Names of RFC 1997, RFC 8326 and RFC 9494. */
const WELL_KNOWN: Readonly<Record<number, string>> = {
  4294967041: 'no-export',
  4294967042: 'no-advertise',
  4294967043: 'no-export-subconfed',
  4294901760: 'graceful-shutdown',
  4294901766: 'llgr-stale',
  4294901767: 'no-llgr',
};

const communitiesOf = ({
  communities = [],
  largeCommunities = [],
}: PathAttributes): readonly string[] => [
  ...communities.map((value) => WELL_KNOWN[value] ?? printCommunity({ kind: 'standard', value })),
  ...largeCommunities.map((value) => printCommunity({ kind: 'large', value })),
];
