// Which of the machine's addresses the node is known by. Pure: links and addresses in, the choice
// and the reason out, so that a preview and the agent decide alike.
import { fail, ok, type Result } from '../../base/result.ts';
import type { InterfaceAddressOfLink, Link } from '../../kernel/kernel.ts';
import {
  type Cidr,
  cidr,
  contains,
  type InterfaceAddress,
  parseCidr,
  printInterfaceAddress,
} from '../../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../../net/ip.ts';

export type DetectionMethod =
  | { readonly kind: 'first-found' }
  | { readonly kind: 'interface' | 'skip-interface'; readonly patterns: readonly RegExp[] }
  | { readonly kind: 'cidr'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'can-reach'; readonly destination: string }
  | { readonly kind: 'kubernetes-internal-ip' };

/** What the machine and the cluster say; the last two only for the methods that ask for them. */
export interface Surroundings {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddressOfLink[];
  /** Source address of a packet to the destination of `can-reach`. */
  readonly sourceAddress?: Result<Ip> | undefined;
  /** The Kubernetes node's InternalIPs. */
  readonly internalIps?: readonly Ip[] | undefined;
}

export interface Detection {
  readonly address: InterfaceAddress;
  readonly linkName: string;
  /** For the log: why this address and no other. */
  readonly because: string;
}

// Interfaces of container engines, of Kubernetes and of ourselves. `^lo` hides `lower0` as well.
const EXCLUDED = (
  'docker cbr dummy podman virbr lxcbr veth lo br- cali tunl flannel kube-ipvs cni ' +
  'vxlan\\.calico vxlan-v6\\.calico wireguard\\.cali wg-v6\\.cali nodelocaldns'
)
  .split(' ')
  .map((prefix) => new RegExp(`^${prefix}`));

const METHODS = [
  'first-found',
  'interface=REGEX[,REGEX]',
  'skip-interface=REGEX[,REGEX]',
  'cidr=CIDR[,CIDR]',
  'can-reach=DESTINATION',
  'kubernetes-internal-ip',
];

/** Parses IP_AUTODETECTION_METHOD or its like for IPv6; empty means first-found. */
export function parseDetectionMethod(
  text: string,
  variable = 'IP_AUTODETECTION_METHOD',
): Result<DetectionMethod> {
  const [kind, list] = splitOnce(text.trim() || 'first-found', '=');
  const items = list
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);
  const refuse = (why: string): Result<never> =>
    fail(`${variable}: '${text}' ${why}; use one of ${METHODS.join(', ')}`);
  switch (kind) {
    case 'first-found':
    case 'kubernetes-internal-ip':
      return items.length === 0 ? ok({ kind }) : refuse('takes no argument');
    case 'interface':
    case 'skip-interface': {
      const patterns = items.map(parsePattern);
      if (!allDefined(patterns)) return refuse('holds what is no regular expression');
      return items.length > 0 ? ok({ kind, patterns }) : refuse('names no interface');
    }
    case 'cidr': {
      const cidrs = items.map(parseCidr);
      if (!allDefined(cidrs)) return refuse('holds what is no CIDR');
      return items.length > 0 ? ok({ kind, cidrs }) : refuse('names no CIDR');
    }
    case 'can-reach':
      return items.length === 1 ? ok({ kind, destination: items[0]! }) : refuse('needs one target');
    default:
      return refuse('is no known method');
  }
}

/** Finds the node's address of a family. Errors: nothing fits, with what there is to choose from. */
export function detectAddress(
  method: DetectionMethod,
  family: Family,
  around: Surroundings,
): Result<Detection> {
  const all = candidatesOf(around, family);
  const among = (what: string, fitting: readonly Candidate[]): Result<Detection> =>
    fitting[0] ? ok(chosen(what, fitting[0], fitting)) : fail(nothingFits(what, family, all));
  const matches = (patterns: readonly RegExp[]) => (candidate: Candidate) =>
    patterns.some((pattern) => pattern.test(candidate.link.name));
  const hidden = matches(EXCLUDED);
  switch (method.kind) {
    case 'first-found':
      return among(
        method.kind,
        all.filter((c) => !hidden(c)),
      );
    case 'interface':
      return among(named(method.kind, method.patterns), all.filter(matches(method.patterns)));
    case 'skip-interface': {
      const skipped = matches(method.patterns);
      return among(
        named(method.kind, method.patterns),
        all.filter((c) => !hidden(c) && !skipped(c)),
      );
    }
    case 'cidr':
      return among(
        `cidr=${method.cidrs.join(',')}`,
        all.filter((c) => method.cidrs.some((range) => contains(range, c.address.ip))),
      );
    case 'can-reach': {
      const source = around.sourceAddress ?? fail('not asked');
      const what = `can-reach=${method.destination}`;
      return source.ok ? among(what, withIp(all, source.value)) : fail(`${what}: ${source.error}`);
    }
    case 'kubernetes-internal-ip': {
      const internal = around.internalIps?.find((ip) => familyOf(ip) === family);
      return among(method.kind, internal ? withIp(all, internal) : []);
    }
  }
}

interface Candidate {
  readonly link: Link;
  readonly address: InterfaceAddress;
}

/** The link that carries an address, with the prefix it has there. */
export function findOnLinks(around: Surroundings, ip: Ip): Candidate | undefined {
  return withIp(candidatesOf(around, familyOf(ip)), ip)[0];
}

// Links in descending order of index, as Calico walks them: a machine's second network wins. A
// link that is down carries no traffic and is no candidate.
function candidatesOf({ links, addresses }: Surroundings, family: Family): readonly Candidate[] {
  const descending = links.filter((link) => link.up).sort((a, b) => b.index - a.index);
  return descending.flatMap((link) =>
    addresses
      .filter((a) => a.linkIndex === link.index && familyOf(a.ip) === family && isGlobal(a.ip))
      .map(({ ip, prefixLength }) => ({ link, address: { ip, prefixLength } })),
  );
}

const withIp = (all: readonly Candidate[], ip: Ip): readonly Candidate[] =>
  all.filter((candidate) => candidate.address.ip === ip);

const NOT_GLOBAL = ['0.0.0.0/32', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4']
  .concat(['255.255.255.255/32', '::/128', '::1/128', 'fe80::/10', 'ff00::/8'])
  .map(cidr);

/** Unicast and neither loopback nor link-local; private ranges count. */
const isGlobal = (ip: Ip): boolean => !NOT_GLOBAL.some((range) => contains(range, ip));

const show = ({ link, address }: Candidate): string =>
  `${link.name} ${printInterfaceAddress(address)}`;

function chosen(what: string, first: Candidate, fitting: readonly Candidate[]): Detection {
  const others = fitting.slice(1).map(show);
  const rest = others.length === 0 ? 'the only one that fits' : `before ${others.join(', ')}`;
  return {
    address: first.address,
    linkName: first.link.name,
    because: `${what} takes ${show(first)}, ${rest}`,
  };
}

function nothingFits(what: string, family: Family, all: readonly Candidate[]): string {
  const there = all.length > 0 ? all.map(show).join(', ') : 'none';
  const variable = family === 4 ? 'IP' : 'IP6';
  return (
    `${what} finds no IPv${family} address; interfaces that are up have: ${there}; ` +
    `set ${variable}_AUTODETECTION_METHOD (e.g. interface=NAME or cidr=CIDR) or ${variable}`
  );
}

const named = (kind: string, patterns: readonly RegExp[]): string =>
  `${kind}=${patterns.map((pattern) => pattern.source).join(',')}`;

function parsePattern(text: string): RegExp | undefined {
  try {
    return new RegExp(text);
  } catch {
    return undefined;
  }
}

function allDefined<T>(values: readonly (T | undefined)[]): values is readonly T[] {
  return values.every((value) => value !== undefined);
}

function splitOnce(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}
