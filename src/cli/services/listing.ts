// What a node does for services, read from its KUBE-* chains, whoever wrote them: by service the
// addresses it is reached at, the endpoints behind them, and the connections each has had.
import type { RuleCount, TableCounts } from '../../kernel/tables.ts';
import { LOOPBACK } from '../../services/render/localnet.ts';
import { wordsOf } from '../../services/write/canonical.ts';
import { boxTable, type Output } from '../output.ts';
import { type Way, waysIn } from './ways.ts';

/** The tables of one address family. */
export interface ServiceTables {
  readonly filter: TableCounts;
  readonly nat: TableCounts;
}

export interface ServedAddress {
  /** `namespace/name`, with `:port` where the port has a name. */
  readonly service: string;
  readonly protocol: string;
  /** `cluster IP`, `external IP`, `loadbalancer IP`, `node port`. */
  readonly kind: string;
  /** `address:port`; `*:port` for a node port. */
  readonly address: string;
  /** Where its packets go on; absent: they are refused. */
  readonly chain?: string;
  /** Why it is not served. */
  readonly problem?: string;
  readonly endpoints: readonly ServedEndpoint[];
  /** The same by who calls. */
  readonly ways: readonly Way<ServedEndpoint>[];
  /** So long a client stays at its endpoint. */
  readonly affinitySeconds?: number;
  /** First packets of connections since the rule was written; refused packets. */
  readonly packets: number;
}

export interface ServedEndpoint {
  readonly chain: string;
  readonly address: string;
  readonly packets: number;
}

interface Rule {
  readonly count: RuleCount;
  readonly option: (name: string) => string | undefined;
}

const read = (count: RuleCount): Rule => {
  const words = wordsOf(count.text);
  return {
    count,
    option: (name) => {
      const at = words.indexOf(name);
      return at < 0 ? undefined : words[at + 1];
    },
  };
};

const rulesOf = (table: TableCounts, chain: string): readonly Rule[] =>
  (table.get(chain) ?? []).map(read);

/** The words of a comment after the service's name. */
const KINDS = ['cluster IP', 'external IP', 'loadbalancer IP'];
const PER_SERVICE = /^KUBE-(SVC|SVL|EXT|FW|XLB)-/;

/** Every address of every service, in order of names. */
export function servedAddresses(tables: readonly ServiceTables[]): readonly ServedAddress[] {
  return tables
    .flatMap(({ filter, nat }) => {
      const endpoints = endpointsIn(nat);
      return [
        ...rulesOf(nat, 'KUBE-SERVICES').flatMap((rule) => served(nat, rule, endpoints)),
        ...rulesOf(nat, 'KUBE-NODEPORTS').flatMap((rule) => served(nat, rule, endpoints)),
        ...rulesOf(filter, 'KUBE-SERVICES').flatMap(refused),
        ...rulesOf(filter, 'KUBE-EXTERNAL-SERVICES').flatMap(refused),
      ];
    })
    .toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

const sortKey = ({ service, kind, address }: ServedAddress): string =>
  JSON.stringify([service, KINDS.indexOf(kind) + 1 || 9, address]);

/** A chain -> the endpoints that packets may reach from it. */
function endpointsIn(nat: TableCounts): (chain: string) => readonly ServedEndpoint[] {
  const found = new Map<string, readonly ServedEndpoint[]>();
  const walk = (chain: string): readonly ServedEndpoint[] => {
    const known = found.get(chain);
    if (known) return known;
    found.set(chain, []); // a loop of others' making ends here
    const all = rulesOf(nat, chain).flatMap(({ count, option }): readonly ServedEndpoint[] => {
      const address = option('--to-destination');
      if (address !== undefined) return [{ chain, address, packets: count.packets }];
      const next = option('-j') ?? '';
      return PER_SERVICE.test(next) || next.startsWith('KUBE-SEP-') ? walk(next) : [];
    });
    const own = [...new Map(all.map((one) => [one.chain, one])).values()];
    found.set(chain, own);
    return own;
  };
  return walk;
}

/** Of the chain, or of those that it leads to. */
function affinityOf(nat: TableCounts, chain: string): number | undefined {
  for (const { option } of rulesOf(nat, chain)) {
    const seconds = option('--seconds');
    if (seconds !== undefined) return Number(seconds);
    const next = option('-j') ?? '';
    const found = PER_SERVICE.test(next) && next !== chain ? affinityOf(nat, next) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function served(
  nat: TableCounts,
  { count, option }: Rule,
  endpointsOf: (chain: string) => readonly ServedEndpoint[],
): readonly ServedAddress[] {
  const chain = option('-j') ?? '';
  const place = placeOf({ count, option });
  if (!place || !PER_SERVICE.test(chain)) return [];
  const seconds = affinityOf(nat, chain);
  return [
    {
      ...place,
      chain,
      endpoints: endpointsOf(chain),
      ways: waysIn(chain, { rulesOf: (name) => rulesOf(nat, name), endpointsOf }),
      ...(seconds === undefined ? {} : { affinitySeconds: seconds }),
      packets: count.packets,
    },
  ];
}

const NO_ENDPOINTS = / (has no (?:local )?endpoints)$/;

function refused({ count, option }: Rule): readonly ServedAddress[] {
  const comment = option('--comment') ?? '';
  const problem = NO_ENDPOINTS.exec(comment)?.[1];
  const place = placeOf({ count, option }, comment.replace(NO_ENDPOINTS, ''));
  return problem && place
    ? [{ ...place, problem, endpoints: [], ways: [], packets: count.packets }]
    : [];
}

function placeOf(
  { option }: Rule,
  comment = option('--comment') ?? '',
): Pick<ServedAddress, 'service' | 'protocol' | 'kind' | 'address'> | undefined {
  const [port, protocol] = [option('--dport'), option('-p')];
  if (port === undefined || protocol === undefined) return undefined;
  const kind = KINDS.find((words) => comment.endsWith(` ${words}`));
  const service = kind ? comment.slice(0, -kind.length - 1) : comment;
  const ip = option('-d')?.replace(/\/(32|128)$/, '');
  const host = ip?.includes(':') ? `[${ip}]` : (ip ?? '*');
  const isNode = ip === undefined || ip === LOOPBACK;
  const reached = kind ?? (isNode ? 'node port' : 'address');
  return { service, protocol, kind: reached, address: `${host}:${port}` };
}

const isCalled = ({ service }: ServedAddress, name: string): boolean =>
  service === name || service.split(':', 1)[0] === name;

/** All services, or the one called `namespace/name` (or `namespace/name:port`), with its endpoints. */
export function listServices(all: readonly ServedAddress[], name: string | undefined): Output {
  const found = all.filter((one) => name === undefined || isCalled(one, name));
  if (name !== undefined && found.length === 0)
    return { data: [], lines: [`this node has no rules for a service '${name}'`], failed: true };
  const headings = ['SERVICE', 'PROTOCOL', 'KIND', 'ADDRESS', 'CHAIN', 'ENDPOINTS', 'CONNECTIONS'];
  const rows = found.map((one) => [
    one.service,
    one.protocol,
    one.kind,
    one.address,
    one.chain ?? one.problem ?? '',
    String(one.endpoints.length),
    String(one.packets),
  ]);
  const lines = boxTable(headings, rows, ['ENDPOINTS', 'CONNECTIONS']);
  if (name === undefined) return { data: found, lines };
  const ends = new Map(found.flatMap(({ endpoints }) => endpoints.map((one) => [one.chain, one])));
  const endRows = [...ends.values()].map(({ chain, address, packets }) => [
    address,
    chain,
    String(packets),
  ]);
  const endLines = boxTable(['ENDPOINT', 'CHAIN', 'CONNECTIONS'], endRows, ['CONNECTIONS']);
  return { data: found, lines: [...lines, ...endLines] };
}
