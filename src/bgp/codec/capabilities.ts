// Capabilities, as the optional parameters of an OPEN carry them (RFC 5492 section 4). What is
// malformed, not unicast or not known is no error: it counts as unknown or is left out.
//
//   | code (1) | length (1) | value ... |
import { type Asn, parseAsn } from '../../net/asn.ts';
import type { Family } from '../../net/ip.ts';
import { AFI_OF, familyOfAfi, SAFI_UNICAST } from './families.ts';
import { Reader, u16, u32 } from './reader.ts';

export type Capability =
  /** Unicast routes of a family (RFC 4760 section 8). */
  | { readonly kind: 'multiprotocol'; readonly family: Family }
  /** RFC 2918 section 2. */
  | { readonly kind: 'routeRefresh' }
  /** IPv4 prefixes may come with an IPv6 next hop (RFC 8950 section 4). */
  | { readonly kind: 'extendedNextHop' }
  /** Messages of up to 65,535 octets are understood (RFC 8654 section 3). */
  | { readonly kind: 'extendedMessage' }
  | GracefulRestart
  /** RFC 6793 section 3. */
  | { readonly kind: 'fourOctetAs'; readonly asn: Asn }
  | AddPath
  /** RFC 7313 section 3.1. */
  | { readonly kind: 'enhancedRefresh' }
  | LongLived
  | { readonly kind: 'unknown'; readonly code: number; readonly data: Uint8Array };

/** RFC 4724 section 3. */
export interface GracefulRestart {
  readonly kind: 'gracefulRestart';
  /** The sender has restarted: its peer need not wait for its End-of-RIB. */
  readonly restarting: boolean;
  /** Its routes are to be kept after a NOTIFICATION as well (RFC 8538 section 2). */
  readonly notifies: boolean;
  /** 0 to 4095. */
  readonly restartSeconds: number;
  readonly families: readonly PreservedFamily[];
}

export interface PreservedFamily {
  readonly family: Family;
  /** What was forwarded before the restart is forwarded still. */
  readonly forwardingPreserved: boolean;
}

/** RFC 7911 section 4: what the sender of the capability wants to do. */
export interface AddPath {
  readonly kind: 'addPath';
  readonly families: readonly {
    readonly family: Family;
    readonly receive: boolean;
    readonly send: boolean;
  }[];
}

/** RFC 9494 section 3.1. */
export interface LongLived {
  readonly kind: 'longLived';
  readonly families: readonly (PreservedFamily & { readonly staleSeconds: number })[];
}

const CODE = {
  multiprotocol: 1,
  routeRefresh: 2,
  extendedNextHop: 5,
  extendedMessage: 6,
  gracefulRestart: 64,
  fourOctetAs: 65,
  addPath: 69,
  enhancedRefresh: 70,
  longLived: 71,
} as const;
const RESTARTING = 0x8000;
const NOTIFIES = 0x4000;
const RESTART_SECONDS_MAX = 0x0fff;
const FORWARDING_PRESERVED = 0x80;
const ADD_PATH = { receive: 1, send: 2 } as const;

/** Octets of one capability, header included. */
export function encodeCapability(capability: Capability): number[] {
  if (capability.kind === 'unknown')
    return [capability.code, capability.data.length, ...capability.data];
  const value = octetsOf(capability);
  return [CODE[capability.kind], value.length, ...value];
}

const family3 = (family: Family): number[] => [...u16(AFI_OF[family]), SAFI_UNICAST];
const preserved = (f: PreservedFamily): number =>
  f.forwardingPreserved ? FORWARDING_PRESERVED : 0;

function octetsOf(capability: Exclude<Capability, { kind: 'unknown' }>): number[] {
  switch (capability.kind) {
    case 'multiprotocol':
      return [...u16(AFI_OF[capability.family]), 0, SAFI_UNICAST];
    case 'routeRefresh':
    case 'extendedMessage':
    case 'enhancedRefresh':
      return [];
    case 'extendedNextHop':
      return [...u16(AFI_OF[4]), 0, SAFI_UNICAST, ...u16(AFI_OF[6])];
    case 'fourOctetAs':
      return u32(capability.asn);
    case 'gracefulRestart': {
      const { restarting, notifies, restartSeconds, families } = capability;
      const flags = (restarting ? RESTARTING : 0) | (notifies ? NOTIFIES : 0);
      return [
        ...u16(flags | Math.min(restartSeconds, RESTART_SECONDS_MAX)),
        ...families.flatMap((f) => [...family3(f.family), preserved(f)]),
      ];
    }
    case 'addPath':
      return capability.families.flatMap(({ family, receive, send }) => [
        ...family3(family),
        (receive ? ADD_PATH.receive : 0) | (send ? ADD_PATH.send : 0),
      ]);
    case 'longLived':
      return capability.families.flatMap((f) => [
        ...family3(f.family),
        preserved(f),
        ...u32(f.staleSeconds).slice(1),
      ]);
  }
}

export function decodeCapability(code: number, value: Reader): Capability {
  const data = Uint8Array.from(value.rest());
  const reader = new Reader(data);
  return decodeKnown(code, reader) ?? { kind: 'unknown', code, data };
}

/** Undefined: not known, or not as its RFC wants it. */
function decodeKnown(code: number, reader: Reader): Capability | undefined {
  const octets = reader.left;
  switch (code) {
    case CODE.multiprotocol: {
      if (octets !== 4) return undefined;
      const family = familyOfAfi(reader.u16());
      return family && reader.u16() === SAFI_UNICAST
        ? { kind: 'multiprotocol', family }
        : undefined;
    }
    case CODE.routeRefresh:
      return octets === 0 ? { kind: 'routeRefresh' } : undefined;
    case CODE.extendedMessage:
      return octets === 0 ? { kind: 'extendedMessage' } : undefined;
    case CODE.enhancedRefresh:
      return octets === 0 ? { kind: 'enhancedRefresh' } : undefined;
    case CODE.extendedNextHop:
      return decodeExtendedNextHop(reader);
    case CODE.fourOctetAs: {
      const asn = octets === 4 ? parseAsn(reader.u32()) : undefined;
      return asn && { kind: 'fourOctetAs', asn };
    }
    case CODE.gracefulRestart:
      return octets % 4 === 2 ? decodeGracefulRestart(reader) : undefined;
    case CODE.addPath:
      return octets % 4 === 0 ? decodeAddPath(reader) : undefined;
    case CODE.longLived:
      return octets % 7 === 0 ? decodeLongLived(reader) : undefined;
    default:
      return undefined;
  }
}

function decodeExtendedNextHop(reader: Reader): Capability | undefined {
  let found = false;
  while (reader.left >= 6) {
    const [family, safi, nextHop] = [reader.u16(), reader.u16(), reader.u16()];
    found ||= family === AFI_OF[4] && safi === SAFI_UNICAST && nextHop === AFI_OF[6];
  }
  return found && reader.left === 0 ? { kind: 'extendedNextHop' } : undefined;
}

function decodeGracefulRestart(reader: Reader): GracefulRestart {
  const head = reader.u16();
  return {
    kind: 'gracefulRestart',
    restarting: (head & RESTARTING) !== 0,
    notifies: (head & NOTIFIES) !== 0,
    restartSeconds: head & RESTART_SECONDS_MAX,
    families: tuples(reader, (family, flags) => ({
      family,
      forwardingPreserved: (flags & FORWARDING_PRESERVED) !== 0,
    })),
  };
}

const decodeAddPath = (reader: Reader): AddPath => ({
  kind: 'addPath',
  families: tuples(reader, (family, does) => ({
    family,
    // Another value than 1 to 3: the family is ignored (RFC 7911 section 4).
    receive: does === 1 || does === 3,
    send: does === 2 || does === 3,
  })).filter(({ receive, send }) => receive || send),
});

const decodeLongLived = (reader: Reader): LongLived => ({
  kind: 'longLived',
  families: tuples(reader, (family, flags, rest) => ({
    family,
    forwardingPreserved: (flags & FORWARDING_PRESERVED) !== 0,
    staleSeconds: rest.u8() * 65536 + rest.u16(),
  })),
});

/** Tuples of AFI, SAFI, one octet and what `read` takes besides; the first of a family counts. */
function tuples<T extends { readonly family: Family }>(
  reader: Reader,
  read: (family: Family, octet: number, rest: Reader) => T,
): readonly T[] {
  const found: T[] = [];
  while (reader.left > 0) {
    const [family, safi] = [familyOfAfi(reader.u16()), reader.u8()];
    const tuple = read(family ?? 4, reader.u8(), reader);
    const wanted = family !== undefined && safi === SAFI_UNICAST;
    if (wanted && !found.some((f) => f.family === family)) found.push(tuple);
  }
  return found;
}
