// What a routing table does, done beforehand with tables that are thrown away. V8 compiles a function
// well only when it has seen what the function works on; a peer's first 100,000 routes would be read,
// decided and told by code that is slow still, three times as long.
//
// Several tables, because code that has seen one knows its functions as the only ones and is given up
// at the next. Both families, for the same reason. No input or output, and the clock is not read.
import type { Asn } from '../net/asn.ts';
import { type Cidr, cidr } from '../net/cidr.ts';
import { type Family, type Ip, ip } from '../net/ip.ts';
import { encodeUpdate, type Update } from './codec/update.ts';
import { PEER_DEFAULTS } from './peers.ts';
import { Table } from './table/table.ts';

const TABLES = 2;
/** All is announced and withdrawn so often. */
const ROUNDS = 3;
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

/** In portions of a few milliseconds at most, each ended by a `yield`. */
export function* warmUp(): Generator<void> {
  const said: Said[] = [];
  for (const words of messages()) {
    said.push(words);
    yield;
  }
  for (let i = 0; i < TABLES; i++) {
    const table = yield* tableOfFour();
    for (let round = 0; round < ROUNDS; round++) yield* tellAll(table, said);
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
  const prefixes = Array.from({ length: PREFIXES_OF_MESSAGE }, (_, i) =>
    prefixOf(family, number * PREFIXES_OF_MESSAGE + i),
  );
  const attributes = {
    origin: 'igp' as const,
    asPath: [{ kind: 'sequence' as const, asns: [TELLER_ASN] }],
    med: number,
  };
  const { teller } = SIDES[family];
  const announced = [{ nextHop: teller, prefixes }];
  const bodyOf = (what: Omit<Update, 'kind'>) => encodeUpdate({ kind: 'update', ...what }, true);
  return {
    teller,
    announced: bodyOf({ withdrawn: [], announced, attributes }),
    withdrawn: bodyOf({ withdrawn: prefixes, announced: [] }),
  };
}

const prefixOf = (family: Family, i: number): Cidr =>
  cidr(family === 4 ? `10.${i >> 8}.${i & 255}.0/24` : `2001:db8:${i.toString(16)}::/48`);
