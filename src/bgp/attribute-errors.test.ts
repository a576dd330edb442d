// RFC 7606: what each attribute makes of an UPDATE when it is absent, empty, too short, too long,
// there twice, wrongly flagged or of a wrong value; by the codec, and by the table that reads on its
// own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../net/asn.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import type { WireContext } from './codec/decode-attributes.ts';
import { notificationText } from './codec/notification.ts';
import { u16 } from './codec/reader.ts';
import { decodeUpdate } from './codec/update.ts';
import { PEER_DEFAULTS } from './peers.ts';
import { Table } from './table/table.ts';

const bytes = (hex: string): number[] => [...Buffer.from(hex.replace(/\s/g, ''), 'hex')];

interface Attribute {
  readonly flags: number;
  readonly type: number;
  readonly value: number[];
}
const of = (flags: number, type: number, hex: string): Attribute => ({
  flags,
  type,
  value: bytes(hex),
});

const GOOD = {
  ORIGIN: of(0x40, 1, '00'),
  AS_PATH: of(0x40, 2, '0201 0000fde9'),
  NEXT_HOP: of(0x40, 3, '0a000001'),
  MULTI_EXIT_DISC: of(0x80, 4, '00000001'),
  LOCAL_PREF: of(0x40, 5, '00000064'),
  ATOMIC_AGGREGATE: of(0x40, 6, ''),
  AGGREGATOR: of(0xc0, 7, '0000fde9 0a000001'),
  COMMUNITIES: of(0xc0, 8, 'fde90001 fde90002'),
  ORIGINATOR_ID: of(0x80, 9, '0a000002'),
  CLUSTER_LIST: of(0x80, 10, '01010101 02020202'),
  EXTENDED_COMMUNITIES: of(0xc0, 16, '0002fde9 00000001'),
  LARGE_COMMUNITY: of(0xc0, 32, '0000fde9 00000001 00000002'),
  UNKNOWN: of(0xc0, 200, '0102'),
} as const;
type Name = keyof typeof GOOD;

const DEFORMED = {
  absent: () => [],
  empty: (a: Attribute) => [{ ...a, value: [] }],
  short: (a: Attribute) => [{ ...a, value: a.value.slice(0, -1) }],
  long: (a: Attribute) => [{ ...a, value: [...a.value, 0] }],
  twice: (a: Attribute) => [a, { ...a, value: a.value.map((octet) => octet ^ 1) }],
  'optional bit': (a: Attribute) => [{ ...a, flags: a.flags ^ 0x80 }],
  'transitive bit': (a: Attribute) => [{ ...a, flags: a.flags ^ 0x40 }],
  'unknown well-known': (a: Attribute) => [{ ...a, flags: 0x40, type: 99 }],
  'beyond the list': (a: Attribute) => [{ ...a, length: 255 }],
} as const;
type Deformity = keyof typeof DEFORMED;

const encode = ({ flags, type, value, length }: Attribute & { length?: number }): number[] => [
  ...[flags, type, length ?? value.length],
  ...value,
];

/** The attribute in question comes last: what is wrong with its length must not hide another. */
function bodyWith(name: Name, deformity: Deformity): Uint8Array {
  const others = Object.entries(GOOD).filter(([other]) => other !== name);
  const all = [...others.map(([, a]) => a), ...DEFORMED[deformity](GOOD[name])].flatMap(encode);
  return Uint8Array.from([0, 0, ...u16(all.length), ...all, ...bytes('1a c0a80140')]);
}

/** `used`: announced as it should be; `without`: announced, the attribute is discarded. */
type Outcome = 'used' | 'without' | 'withdrawn' | 'reset';

/** What every attribute makes of these (RFC 7606 sections 3 and 4, RFC 4271 section 6.3). */
const COMMON: Partial<Record<Deformity, Outcome>> = {
  twice: 'used',
  'optional bit': 'withdrawn',
  'transitive bit': 'withdrawn',
  'unknown well-known': 'reset',
  'beyond the list': 'withdrawn',
};
const lengths = (outcome: Outcome): Partial<Record<Deformity, Outcome>> => ({
  empty: outcome,
  short: outcome,
  long: outcome,
});
const MANDATORY = { absent: 'withdrawn' } as const;
const OPTIONAL = { absent: 'used' } as const;

/** RFC 7606 section 7, one line each. */
const INTERNAL: Record<Name, Partial<Record<Deformity, Outcome>>> = {
  ORIGIN: { ...COMMON, ...MANDATORY, ...lengths('withdrawn') },
  AS_PATH: { ...COMMON, ...MANDATORY, ...lengths('withdrawn'), empty: 'used' },
  NEXT_HOP: { ...COMMON, ...MANDATORY, ...lengths('withdrawn') },
  MULTI_EXIT_DISC: { ...COMMON, ...OPTIONAL, ...lengths('withdrawn') },
  LOCAL_PREF: { ...COMMON, ...MANDATORY, ...lengths('withdrawn') },
  ATOMIC_AGGREGATE: { ...COMMON, ...OPTIONAL, empty: 'used', short: 'used', long: 'without' },
  AGGREGATOR: { ...COMMON, ...OPTIONAL, ...lengths('without') },
  COMMUNITIES: { ...COMMON, ...OPTIONAL, ...lengths('withdrawn') },
  ORIGINATOR_ID: { ...COMMON, ...OPTIONAL, ...lengths('withdrawn') },
  CLUSTER_LIST: { ...COMMON, ...OPTIONAL, ...lengths('withdrawn') },
  EXTENDED_COMMUNITIES: { ...COMMON, ...OPTIONAL, ...lengths('withdrawn') },
  LARGE_COMMUNITY: { ...COMMON, ...OPTIONAL, ...lengths('withdrawn') },
  UNKNOWN: {
    ...COMMON,
    ...OPTIONAL,
    ...lengths('used'),
    'optional bit': 'reset',
    'transitive bit': 'without',
  },
};
/** What a peer of another AS may not say is discarded, whatever it looks like. */
const NOT_BELIEVED = {
  ...COMMON,
  ...lengths('without'),
  absent: 'used',
  twice: 'without',
} as const;
const EXTERNAL: typeof INTERNAL = {
  ...INTERNAL,
  LOCAL_PREF: NOT_BELIEVED,
  ORIGINATOR_ID: NOT_BELIEVED,
  CLUSTER_LIST: NOT_BELIEVED,
};

const KEYS: Record<Name, string> = {
  ORIGIN: 'origin',
  AS_PATH: 'asPath',
  NEXT_HOP: '',
  MULTI_EXIT_DISC: 'med',
  LOCAL_PREF: 'localPref',
  ATOMIC_AGGREGATE: 'atomicAggregate',
  AGGREGATOR: 'aggregator',
  COMMUNITIES: 'communities',
  ORIGINATOR_ID: 'originatorId',
  CLUSTER_LIST: 'clusterList',
  EXTENDED_COMMUNITIES: 'unknown 16',
  LARGE_COMMUNITY: 'largeCommunities',
  UNKNOWN: 'unknown 200',
};
const PREFIX = cidr('192.168.1.64/26');

function byCodec(name: Name, body: Uint8Array, context: WireContext): Outcome {
  const decoded = decodeUpdate(body, context);
  if (!decoded.ok) return 'reset';
  const { attributes, withdrawn } = decoded.value;
  if (!attributes) {
    assert.deepEqual(withdrawn, [PREFIX]);
    return 'withdrawn';
  }
  const [key = '', type] = KEYS[name].split(' ');
  const there =
    key === '' ||
    (type
      ? attributes.unknown?.some((u) => u.type === Number(type))
      : key in attributes && attributes[key as keyof typeof attributes] !== undefined);
  return there ? 'used' : 'without';
}

function byTable(body: Uint8Array, { external }: WireContext): Outcome {
  const table = new Table({ send: () => undefined, hasRoom: () => true });
  const policy = {
    ...PEER_DEFAULTS,
    address: ip('10.0.0.1'),
    asn: (external ? 65001 : 64512) as Asn,
    localAsn: 64512 as Asn,
  };
  const agreed = {
    families: [4 as const],
    fourOctetAs: true,
    extendedMessage: false,
    extendedNextHop: false,
    addPathReceive: [],
    addPathSend: [],
    peerRouterId: ip('10.0.0.1'),
  };
  table.peerUp('peer', policy, ip('10.0.0.9'), agreed);
  // What was there before must go when the new one is not to be believed.
  table.receive('peer', BEFORE);
  const { reset } = table.receive('peer', body);
  if (reset) return 'reset';
  const accepted = table.why(PREFIX).filter(({ lost }) => lost !== 'not accepted');
  return accepted.length > 0 ? 'used' : 'withdrawn';
}

const MINIMAL = [GOOD.ORIGIN, GOOD.AS_PATH, GOOD.NEXT_HOP, GOOD.LOCAL_PREF].flatMap(encode);
const BEFORE = Uint8Array.from([0, 0, ...u16(MINIMAL.length), ...MINIMAL, ...bytes('1a c0a80140')]);

for (const external of [false, true])
  for (const [name, outcomes] of Object.entries(external ? EXTERNAL : INTERNAL)) {
    const from = external ? 'another AS' : 'our AS';
    test(`${name} from ${from}: ${Object.keys(DEFORMED).join(', ')}`, () => {
      const context = { fourOctetAs: true, external };
      const all = Object.keys(DEFORMED) as Deformity[];
      const expected = all.map((deformity) => `${deformity}: ${outcomes[deformity]}`);
      const codec = all.map((deformity) => {
        const body = bodyWith(name as Name, deformity);
        return `${deformity}: ${byCodec(name as Name, body, context)}`;
      });
      // An absent attribute that is not missed was not lost either.
      const words = (text: string) => text.replace(/^absent: without$/, 'absent: used');
      assert.deepEqual(codec.map(words), expected);
      const table = all.map(
        (deformity) => `${deformity}: ${byTable(bodyWith(name as Name, deformity), context)}`,
      );
      assert.deepEqual(
        table,
        expected.map((text) => text.replace('without', 'used')),
      );
    });
  }

/** MP_REACH_NLRI and MP_UNREACH_NLRI carry prefixes: RFC 7606 sections 3 (j), 5.3 and 7.11. */
const REACH = '0002 01 10 fd000000000000000000000000000001 00 40 fd00000000000001';
const MULTIPROTOCOL: [name: string, attributes: string, says: string][] = [
  ['good', `90 0e 0020 ${REACH}`.replace('0020', '001e'), 'announced fd00:0:0:1::/64'],
  ['reach: empty', '80 0e 00', 'Optional Attribute Error (3/9)'],
  ['reach: no prefix length', '80 0e 05 0002 01 10 fd', 'Optional Attribute Error (3/9)'],
  [
    'reach: next hop of 8 octets',
    '80 0e 0d 0002 01 08 fd00000000000001 00',
    'Optional Attribute Error (3/9)',
  ],
  [
    'reach: prefix of 129 bits',
    '80 0e 17 0002 01 10 fd000000000000000000000000000001 00 81 fd',
    'Optional Attribute Error (3/9)',
  ],
  [
    'reach: prefix cut short',
    '80 0e 17 0002 01 10 fd000000000000000000000000000001 00 40 fd',
    'Optional Attribute Error (3/9)',
  ],
  ['reach: wrong flags', `40 0e 1e ${REACH}`, 'withdrawn fd00:0:0:1::/64'],
  ['reach: twice', `80 0e 1e ${REACH} 80 0e 1e ${REACH}`, 'Malformed Attribute List (3/1)'],
  ['unreach: empty', '80 0f 00', 'Optional Attribute Error (3/9)'],
  ['unreach: prefix of 129 bits', '80 0f 05 0002 01 81 fd', 'Optional Attribute Error (3/9)'],
  ['unreach: twice', '80 0f 03 0002 01 80 0f 03 0002 01', 'Malformed Attribute List (3/1)'],
  ['of a family that nobody speaks', '80 0e 06 4004 47 00 00 11', ''],
  // RFC 7606 section 5.2: nothing is announced that could count as withdrawn.
  ['no prefix, ORIGIN at fault', '', 'Malformed Attribute List (3/1)'],
];
for (const [name, hex, says] of MULTIPROTOCOL) {
  test(`multiprotocol: ${name}`, () => {
    const origin = name.includes('ORIGIN at fault') ? '400101 09' : '400101 00';
    const all = bytes(`${origin} 400206 0201 0000fde9 400504 00000064 ${hex}`);
    const body = Uint8Array.from([0, 0, ...u16(all.length), ...all]);
    const decoded = decodeUpdate(body, { fourOctetAs: true, external: false });
    const { announced = [], withdrawn = [] } = decoded.ok ? decoded.value : {};
    const words = decoded.ok
      ? [
          ...announced.map(({ prefixes }) => `announced ${prefixes.join()}`),
          ...(withdrawn.length > 0 ? [`withdrawn ${withdrawn.join()}`] : []),
        ].join()
      : notificationText(decoded.error).replace('UPDATE Message Error: ', '');
    assert.equal(words, says);
  });
}
