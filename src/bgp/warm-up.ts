// What a routing table does, done beforehand with tables that are thrown away. V8 compiles a function
// well only when it has seen what the function works on; a peer's first 100,000 routes would be read,
// decided and told by code that is slow still, three times as long.
//
// Several tables, because code that has seen one knows its functions as the only ones and is given up
// at the next. Both families, for the same reason. No input or output, and the clock is not read.
import type { Asn } from '../net/asn.ts';
import { cidr } from '../net/cidr.ts';
import { bytesOfIp, type Family, type Ip, ip } from '../net/ip.ts';
import { attribute, encodeAttributes, TYPE } from './codec/attributes.ts';
import { AFI_OF, SAFI_UNICAST } from './codec/families.ts';
import { u16 } from './codec/reader.ts';
import { PEER_DEFAULTS } from './peers.ts';
import { Table } from './table/table.ts';

const TABLES = 2;
/** Prefixes: so many messages of so many. */
const MESSAGES: Readonly<Record<Family, number>> = { 4: 8, 6: 2 };
const PREFIXES_OF_MESSAGE = 125;
/** Columns of a table that grows. */
const ROOM = 8192;
/** Steps of the table's work between two turns: about a millisecond. */
const STEPS = 8;

/** Addresses for documentation (RFC 5737, RFC 3849) and numbers of private use (RFC 6996). */
const ASN = 64512 as Asn;
const TELLER_ASN = 65001 as Asn;
const LISTENER_ASN = 65002 as Asn;
interface Sides {
  readonly us: Ip;
  readonly teller: Ip;
  readonly listener: Ip;
}
const SIDES: Readonly<Record<Family, Sides>> = {
  4: { us: ip('192.0.2.1'), teller: ip('192.0.2.2'), listener: ip('192.0.2.3') },
  6: { us: ip('2001:db8::1'), teller: ip('2001:db8::2'), listener: ip('2001:db8::3') },
};
const FAMILIES = [4, 6] as const;
/** 10.x.y.0/24 and 2001:db8:xy::/48, but for their last two octets. */
const START_OF_PREFIX: Readonly<Record<Family, readonly number[]>> = {
  4: [24, 10],
  6: [48, 0x20, 0x01, 0x0d, 0xb8],
};

/** In portions of a few milliseconds at most, each ended by a `yield`. */
export function* warmUp(): Generator<void> {
  const said: Said[] = [];
  for (const words of messages()) {
    said.push(words);
    yield;
  }
  for (let i = 0; i < TABLES; i++) {
    const table = yield* tableOfFour();
    yield* tellAll(table, said);
  }
}

function* tellAll(table: Table, said: readonly Said[]): Generator<void> {
  for (const kind of ['announced', 'withdrawn'] as const) {
    for (const words of said) {
      table.receive(words.teller, words[kind]);
      yield;
    }
    yield* workOff(table);
  }
}

function* workOff(table: Table): Generator<void> {
  let steps = 0;
  for (let busy = true; busy; ) {
    busy = table.work(STEPS, () => steps++) === 'busy';
    yield;
  }
}

function* tableOfFour(): Generator<void, Table> {
  const outputs = { send: () => undefined, hasRoom: () => true, best: () => undefined };
  const own = FAMILIES.map((family) => SIDES[family].us);
  const table = new Table(outputs, { asn: ASN, routerId: SIDES[4].us, addresses: own });
  yield;
  table.makeRoom(ROOM);
  const everything = { disabled: false, disableBgpExport: false };
  table.setPools(['0.0.0.0/0', '::/0'].map((all) => ({ cidr: cidr(all), ...everything })));
  for (const family of FAMILIES) {
    const { us, teller, listener } = SIDES[family];
    for (const [address, asn] of [
      [teller, TELLER_ASN],
      [listener, LISTENER_ASN],
    ] as const) {
      table.peerUp(address, { ...PEER_DEFAULTS, address, asn, localAsn: ASN }, us, {
        families: [family],
        ...{ fourOctetAs: true, extendedMessage: false, extendedNextHop: false },
        ...{ addPathReceive: [], addPathSend: [], peerRouterId: SIDES[4].teller },
      });
      yield;
    }
  }
  return table;
}

/** Bodies of UPDATEs. */
interface Said {
  readonly teller: Ip;
  readonly announced: Uint8Array;
  readonly withdrawn: Uint8Array;
}

function* messages(): Generator<Said> {
  for (const family of FAMILIES)
    for (let i = 0; i < MESSAGES[family]; i++) yield messageOf(family, i);
}

function messageOf(family: Family, number: number): Said {
  const { teller } = SIDES[family];
  const prefixes: number[] = [];
  for (let i = 0; i < PREFIXES_OF_MESSAGE; i++)
    prefixes.push(...START_OF_PREFIX[family], ...u16(number * PREFIXES_OF_MESSAGE + i));
  const facts = {
    origin: 'igp',
    asPath: [{ kind: 'sequence', asns: [TELLER_ASN] }],
    med: number,
  } as const;
  if (family === 4)
    return {
      teller,
      announced: bodyOf([], encodeAttributes(facts, teller, true), prefixes),
      withdrawn: bodyOf(prefixes, [], []),
    };
  const head = [...u16(AFI_OF[6]), SAFI_UNICAST];
  const reach = attribute(TYPE.mpReach, [...head, 16, ...bytesOfIp(teller), 0, ...prefixes]);
  return {
    teller,
    announced: bodyOf([], [...encodeAttributes(facts, undefined, true), ...reach], []),
    withdrawn: bodyOf([], attribute(TYPE.mpUnreach, [...head, ...prefixes]), []),
  };
}

const bodyOf = (withdrawn: number[], attributes: number[], announced: number[]): Uint8Array =>
  Uint8Array.from([
    ...[...u16(withdrawn.length), ...withdrawn],
    ...[...u16(attributes.length), ...attributes, ...announced],
  ]);
