// From a service's chain for calls from outside it depends on the caller where they go: the rules that
// say so in their order, and which of them a caller's are.
import { contains, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip } from '../../net/ip.ts';

/** Where calls go from some callers. */
export interface Way<Endpoint> {
  /** The caller is in each of these. */
  readonly from: readonly string[];
  /** The caller is the node itself. */
  readonly fromNode: boolean;
  readonly endpoints: readonly Endpoint[];
}

export interface Caller {
  readonly ip: Ip;
  /** A node's own address. */
  readonly isNode: boolean;
}

/** A rule's option, such as `-j`. */
type Option = (name: string) => string | undefined;

export interface Chains<Endpoint> {
  readonly rulesOf: (chain: string) => readonly { readonly option: Option }[];
  readonly endpointsOf: (chain: string) => readonly Endpoint[];
}

const DEPENDS_ON_CALLER = /^KUBE-(EXT|XLB|FW)-/;
const LEADS_ON = /^KUBE-(SVC|SVL|EXT|XLB|FW)-/;

/** In the order of the rules: the first that fits the caller counts. */
export function waysIn<Endpoint>(
  chain: string,
  { rulesOf, endpointsOf }: Chains<Endpoint>,
): readonly Way<Endpoint>[] {
  const always = { from: [], fromNode: false };
  if (!DEPENDS_ON_CALLER.test(chain)) return [{ ...always, endpoints: endpointsOf(chain) }];
  const ways: Way<Endpoint>[] = [];
  const own: Endpoint[] = [];
  for (const { option } of rulesOf(chain)) {
    const next = option('-j') ?? '';
    const [source, node] = [option('-s'), option('--src-type') === 'LOCAL'];
    // In 2018 endpoints of this node follow in the same chain.
    if (next.startsWith('KUBE-SEP-')) own.push(...endpointsOf(next));
    if (!LEADS_ON.test(next)) continue;
    for (const { from, fromNode, endpoints } of waysIn(next, { rulesOf, endpointsOf }))
      ways.push({
        from: source === undefined ? from : [...from, source],
        fromNode: fromNode || node,
        endpoints,
      });
  }
  return own.length > 0 ? [...ways, { ...always, endpoints: own }] : ways;
}

/** Undefined: the caller comes no further. */
export const wayOf = <Endpoint>(
  ways: readonly Way<Endpoint>[],
  { ip, isNode }: Caller,
): Way<Endpoint> | undefined =>
  ways.find(
    ({ from, fromNode }) => (isNode || !fromNode) && from.every((range) => isIn(range, ip)),
  );

function isIn(text: string, ip: Ip): boolean {
  const range = parseCidr(text.includes('/') ? text : `${text}/${familyOf(ip) === 4 ? 32 : 128}`);
  return range !== undefined && contains(range, ip);
}
