// What Calico's resources have no field for stands in annotations, which its own tools keep: on a
// BGPPeer for its sessions, on BGPConfiguration `default` for all sessions that say nothing.
//
//   calico-kit.io/bfd              on, off, or transmit=100ms,receive=100ms,multiplier=3,multihop=true
//                                  (absent: RFC 5883 only where a router lies between, by the subnet)
//   calico-kit.io/hold-time        9s; 0s or at least 3s
//   calico-kit.io/long-lived-time  3600s; how long peers may keep our routes after the restart time
//                                  (absent: a day between nodes of one AS)
//   calico-kit.io/max-prefixes     100000
//   calico-kit.io/explicit-policy  true: an external peer without filters exchanges no routes
//   calico-kit.io/families         ipv4,ipv6: whose routes a session carries; absent: its own address's. IPv4
//                                  routes over an IPv6 session have an IPv6 next hop (RFC 8950)
//   calico-kit.io/add-path         false: one path to a prefix only
//   calico-kit.io/additional-cidrs 10.1.0.0/16,fd00::/64; on BGPConfiguration alone: what of them a node has a
//                                  route or an address of is told to its peers
import type { Json } from '../../base/json.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import { type Fields, flag, parsed, withoutAbsent } from './fields.ts';

export interface SessionWishes {
  /** `off` although the cluster wishes it. */
  readonly bfd?: BfdTimers | 'off';
  readonly holdTimeSeconds?: number;
  /** Long-lived graceful restart (RFC 9494). */
  readonly longLivedSeconds?: number;
  readonly maxPrefixes?: number;
  readonly explicitPolicy?: boolean;
  readonly addPath?: boolean;
  readonly families?: readonly Family[];
}

/** RFC 5880: intervals in milliseconds, and how many missed packets end the session. */
export interface BfdTimers {
  readonly transmitMs: number;
  readonly receiveMs: number;
  readonly multiplier: number;
  /** RFC 5883 instead of RFC 5881; undefined: as the addresses say. */
  readonly multihop?: boolean;
}

const PREFIX = 'calico-kit.io/';
export const BFD_ANNOTATION = `${PREFIX}bfd`;
export const CIDRS_ANNOTATION = `${PREFIX}additional-cidrs`;
export const DEFAULT_BFD: BfdTimers = { transmitMs: 150, receiveMs: 150, multiplier: 3 };
const BFD_PARTS = ['transmit', 'receive', 'multiplier', 'multihop'];
const BFD_MS = { min: 10, max: 60_000 } as const;
const HOLD_SECONDS = { min: 3, max: 65_535 } as const;

/** Reads the annotations of a resource; what is wrong goes to its problems. */
export function sessionWishes(metadata: Fields): SessionWishes {
  const texts = metadata.object['annotations'] ?? {};
  const annotations: Fields = {
    object: Object.fromEntries(
      Object.entries(texts).map(([key, value]) => [key, BOOLEANS[String(value)] ?? value]),
    ),
    path: 'annotation',
    problems: metadata.problems,
  };
  return withoutAbsent({
    bfd: parsed(annotations, BFD_ANNOTATION, BFD_WANTED, (v) => bfdOf(String(v))),
    holdTimeSeconds: parsed(annotations, `${PREFIX}hold-time`, 'hold time such as 9s', (v) =>
      holdTimeOf(String(v)),
    ),
    longLivedSeconds: parsed(annotations, `${PREFIX}long-lived-time`, 'time such as 3600s', (v) =>
      longLivedTimeOf(String(v)),
    ),
    maxPrefixes: parsed(annotations, `${PREFIX}max-prefixes`, 'number of prefixes', (v) =>
      /^[1-9]\d{0,9}$/.test(String(v)) ? Number(v) : undefined,
    ),
    explicitPolicy: flag(annotations, `${PREFIX}explicit-policy`),
    addPath: flag(annotations, `${PREFIX}add-path`),
    families: parsed(annotations, `${PREFIX}families`, 'list of ipv4 and ipv6', (v) =>
      familiesOf(String(v)),
    ),
  });
}

/** Prefixes of which a node tells its peers what it has. */
export function additionalCidrs({ object, problems }: Fields): readonly Cidr[] {
  const text = ((object['annotations'] ?? {}) as Readonly<Record<string, Json>>)[CIDRS_ANNOTATION];
  const parts = String(text ?? '').split(',');
  return parts.filter(Boolean).flatMap((part) => {
    const cidr = parseCidr(part.trim());
    if (!cidr) problems.push(`annotation.${CIDRS_ANNOTATION}: '${part}' is no CIDR`);
    return cidr ?? [];
  });
}

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, false: false };
const BFD_WANTED = 'BFD setting such as transmit=150ms,receive=150ms,multiplier=3';

function bfdOf(text: string): BfdTimers | 'off' | undefined {
  if (text === 'on' || text === 'true') return DEFAULT_BFD;
  if (text === 'off' || text === 'false') return 'off';
  const parts = new Map(text.split(',').map((part) => part.split('=', 2) as [string, string]));
  const ms = (name: string, otherwise: number): number => {
    const found = /^(\d{1,5})ms$/.exec(parts.get(name) ?? `${otherwise}ms`);
    return found ? Number(found[1]) : Number.NaN;
  };
  const multihop = BOOLEANS[parts.get('multihop') ?? ''];
  const timers = {
    transmitMs: ms('transmit', DEFAULT_BFD.transmitMs),
    receiveMs: ms('receive', DEFAULT_BFD.receiveMs),
    multiplier: Number(parts.get('multiplier') ?? DEFAULT_BFD.multiplier),
  };
  const known = [...parts.keys()].every((n) => BFD_PARTS.includes(n));
  const said = !parts.has('multihop') || multihop !== undefined;
  const bounded = [timers.transmitMs, timers.receiveMs].every(
    (n) => n >= BFD_MS.min && n <= BFD_MS.max,
  );
  const { multiplier } = timers;
  const counted = Number.isInteger(multiplier) && multiplier >= 1 && multiplier <= 255;
  if (!known || !said || !bounded || !counted) return undefined;
  return multihop === undefined ? timers : { ...timers, multihop };
}

// RFC 9494 section 4.1: 24 bits.
function longLivedTimeOf(text: string): number | undefined {
  const n = Number(/^(\d{1,8})s$/.exec(text)?.[1] ?? Number.NaN);
  return n < 2 ** 24 ? n : undefined;
}

function familiesOf(text: string): readonly Family[] | undefined {
  const found = { ipv4: [4], ipv6: [6], 'ipv4,ipv6': [4, 6], 'ipv6,ipv4': [4, 6] } as const;
  return Object.hasOwn(found, text) ? found[text as keyof typeof found] : undefined;
}

function holdTimeOf(text: string): number | undefined {
  const n = Number(/^(\d{1,5})s$/.exec(text)?.[1] ?? Number.NaN);
  return n === 0 || (n >= HOLD_SECONDS.min && n <= HOLD_SECONDS.max) ? n : undefined;
}
