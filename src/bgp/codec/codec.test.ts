import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Asn } from '../../net/asn.ts';
import { cidr, cidrOf } from '../../net/cidr.ts';
import { ip, ipFromBytes } from '../../net/ip.ts';
import type { PathAttributes } from './attributes.ts';
import { decodeMessage, encodeMessage, type Message, takeMessage } from './message.ts';
import { notification, notificationText } from './notification.ts';
import { endOfRib, lengthOfAsPath, type Update } from './update.ts';

const MARKER = 'ff'.repeat(16);
const INTERNAL = { fourOctetAs: true, external: false };
const EXTERNAL = { fourOctetAs: true, external: true };
const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const as = (n: number): Asn => n as Asn;

const update = (parts: Partial<Update>): Update => ({
  kind: 'update',
  withdrawn: [],
  announced: [],
  ...parts,
});
const MINIMAL: PathAttributes = { origin: 'igp', asPath: [], localPref: 100 };

/** Each message once as bytes and once as value. */
const PAIRS: { name: string; hex: string; value: Message }[] = [
  { name: 'KEEPALIVE', hex: '0013 04', value: { kind: 'keepalive' } },
  {
    name: 'NOTIFICATION Cease, administrative shutdown',
    hex: '0015 03 06 02',
    value: notification(6, 2),
  },
  {
    name: 'ROUTE-REFRESH of IPv4',
    hex: '0017 05 0001 00 01',
    value: { kind: 'routeRefresh', family: 4, subtype: 'request' },
  },
  {
    name: 'OPEN of a 2-octet AS without capabilities',
    hex: '001d 01 04 fc00 00f0 0ac8000b 00',
    value: {
      kind: 'open',
      version: 4,
      asn: as(64512),
      holdTimeSeconds: 240,
      routerId: ip('10.200.0.11'),
      capabilities: [],
    },
  },
  {
    name: 'OPEN of a 4-octet AS with capabilities',
    hex: `002f 01 04 5ba0 005a 0ac8000b 12 02 10 01 04 0001 00 01 02 00 41 04 fa56ea00 80 00`,
    value: {
      kind: 'open',
      version: 4,
      asn: as(4200000000),
      holdTimeSeconds: 90,
      routerId: ip('10.200.0.11'),
      capabilities: [
        { kind: 'multiprotocol', family: 4 },
        { kind: 'routeRefresh' },
        { kind: 'fourOctetAs', asn: as(4200000000) },
        { kind: 'unknown', code: 128, data: new Uint8Array() },
      ],
    },
  },
  {
    name: 'UPDATE of a block, as an iBGP peer sends it',
    hex: '0031 02 0000 0015 400101 00 400200 400304 0ac8000c 400504 00000064 1a c0a80140',
    value: update({
      announced: [{ nextHop: ip('10.200.0.12'), prefixes: [cidr('192.168.1.64/26')] }],
      attributes: MINIMAL,
    }),
  },
  {
    name: 'UPDATE that withdraws',
    hex: '001c 02 0005 1a c0a80140 0000',
    value: update({ withdrawn: [cidr('192.168.1.64/26')] }),
  },
  { name: 'End-of-RIB of IPv4', hex: '0017 02 0000 0000', value: endOfRib(4) },
  { name: 'End-of-RIB of IPv6', hex: '001d 02 0000 0006 800f03 0002 01', value: endOfRib(6) },
  {
    name: 'UPDATE of an IPv6 prefix from another AS',
    hex: `0043 02 0000 002c 400101 02 400206 02 01 0000fde8
          800e1c 0002 01 10 fd000000000000000000000000000001 00 30 fd00 0010 0000`,
    value: update({
      announced: [{ nextHop: ip('fd00::1'), prefixes: [cidr('fd00:10::/48')] }],
      attributes: { origin: 'incomplete', asPath: [{ kind: 'sequence', asns: [as(65000)] }] },
    }),
  },
];

for (const { name, hex: text, value } of PAIRS) {
  test(`${name}: bytes <-> value`, () => {
    const whole = bytes(MARKER + text);
    assert.equal(hex(encodeMessage(value, INTERNAL)), hex(whole));
    const context = name.includes('another AS') ? EXTERNAL : INTERNAL;
    assert.deepEqual(takeMessage(whole), { ok: true, value: whole });
    assert.deepEqual(decodeMessage(whole, context), { ok: true, value });
  });
}

const refused = (data: Uint8Array): string => {
  const taken = takeMessage(data);
  if (!taken.ok) return notificationText(taken.error);
  assert(taken.value, 'a whole message');
  const decoded = decodeMessage(taken.value, INTERNAL);
  assert(!decoded.ok, 'refused');
  return notificationText(decoded.error);
};

const REFUSED: [string, string, string][] = [
  ['marker', `${'00'.repeat(16)}001304`, 'Message Header Error: Connection Not Synchronized (1/1)'],
  ['length 18', `${MARKER}001204`, 'Message Header Error: Bad Message Length (1/2)'],
  ['length 4097', `${MARKER}100102`, 'Message Header Error: Bad Message Length (1/2)'],
  ['KEEPALIVE of 20', `${MARKER}001404ff`, 'Message Header Error: Bad Message Length (1/2)'],
  ['OPEN of 28', `${MARKER}001c01`, 'Message Header Error: Bad Message Length (1/2)'],
  ['type 9', `${MARKER}001309`, 'Message Header Error: Bad Message Type (1/3)'],
  [
    'version 3',
    `${MARKER}001d01 03 fc00 00f0 0ac8000b 00`,
    'OPEN Message Error: Unsupported Version Number (2/1)',
  ],
  ['AS 0', `${MARKER}001d01 04 0000 00f0 0ac8000b 00`, 'OPEN Message Error: Bad Peer AS (2/2)'],
  [
    'AS 0 in four octets',
    `${MARKER}002501 04 fde8 00f0 0ac8000b 08 0206 4104 00000000`,
    'OPEN Message Error: Bad Peer AS (2/2)',
  ],
  [
    'hold time 2',
    `${MARKER}001d01 04 fc00 0002 0ac8000b 00`,
    'OPEN Message Error: Unacceptable Hold Time (2/6)',
  ],
  [
    'identifier 0',
    `${MARKER}001d01 04 fc00 00f0 00000000 00`,
    'OPEN Message Error: Bad BGP Identifier (2/3)',
  ],
  [
    'parameters longer than said',
    `${MARKER}001f01 04 fc00 00f0 0ac8000b 00 0200`,
    'OPEN Message Error (2/0)',
  ],
  [
    'parameter 1',
    `${MARKER}001f01 04 fc00 00f0 0ac8000b 02 0100`,
    'OPEN Message Error: Unsupported Optional Parameter (2/4)',
  ],
  [
    'withdrawn length',
    `${MARKER}001702 00ff 0000`,
    'UPDATE Message Error: Malformed Attribute List (3/1)',
  ],
  [
    'attributes length',
    `${MARKER}001702 0000 0001`,
    'UPDATE Message Error: Malformed Attribute List (3/1)',
  ],
  [
    'prefix of 33 bits',
    `${MARKER}001d02 0000 0000 21 0102030400`,
    'UPDATE Message Error: Invalid Network Field (3/10)',
  ],
  [
    'unknown well-known',
    `${MARKER}001a02 0000 0003 406300`,
    'UPDATE Message Error: Unrecognized Well-known Attribute (3/2)',
  ],
  [
    'MP_REACH cut short',
    `${MARKER}001e02 0000 0007 800e04 0002 01 10`,
    'UPDATE Message Error: Optional Attribute Error (3/9)',
  ],
  [
    'MP_UNREACH twice',
    `${MARKER}002302 0000 000c 800f03 000201 800f03 000201`,
    'UPDATE Message Error: Malformed Attribute List (3/1)',
  ],
];

for (const [name, text, says] of REFUSED) {
  test(`refused: ${name}`, () => assert.equal(refused(bytes(text)), says));
}

test('the extended form of optional parameters (RFC 9072) is read', () => {
  const open = bytes(`${MARKER}0028 01 04 fc00 00f0 0ac8000b ff ff 0008 02 0005 41 03 000102`);
  const decoded = decodeMessage(open, INTERNAL);
  assert(decoded.ok && decoded.value.kind === 'open');
  assert.deepEqual(decoded.value.capabilities, [
    { kind: 'unknown', code: 65, data: bytes('000102') },
  ]);
});

test('FRR 8.4 with extended-optional-parameters: its OPEN as it was on the wire', () => {
  const open = bytes(
    `${MARKER}006b 01 04 fde9 0009 0a4d0801 ff ff 004b 0200060104000100010200028000020002020002000246
     0002000641040000fde902000206000200064504000101010200 06490402766d000200044002c0780200094707000101
     80000000`.replaceAll(/\s/g, ''),
  );
  const decoded = decodeMessage(open, INTERNAL);
  assert(decoded.ok && decoded.value.kind === 'open');
  const { asn, holdTimeSeconds, capabilities } = decoded.value;
  assert.deepEqual([asn, holdTimeSeconds, capabilities.length], [65001, 9, 10]);
  assert.deepEqual(
    capabilities.flatMap(({ kind }) => (kind === 'unknown' ? [] : [kind])),
    [
      ...['multiprotocol', 'routeRefresh', 'enhancedRefresh', 'fourOctetAs', 'extendedMessage'],
      ...['addPath', 'gracefulRestart', 'longLived'],
    ],
  );
});

test('many capabilities travel in the extended form', () => {
  const capabilities = Array.from({ length: 40 }, (_, i) => ({
    kind: 'unknown' as const,
    code: 200,
    data: Uint8Array.from({ length: 10 }, () => i),
  }));
  const open: Message = {
    kind: 'open',
    version: 4,
    asn: as(1),
    holdTimeSeconds: 0,
    routerId: ip('1.1.1.1'),
    capabilities,
  };
  assert.deepEqual(decodeMessage(encodeMessage(open, INTERNAL), INTERNAL), {
    ok: true,
    value: open,
  });
});

/** One attribute at fault beside a good ORIGIN, AS_PATH, NEXT_HOP and LOCAL_PREF: RFC 7606. */
const NLRI = '1a c0a80140';
const GOOD: Record<string, string> = {
  origin: '400101 00',
  asPath: '400200',
  nextHop: '400304 0ac8000c',
  localPref: '400504 00000064',
};
function withAttributes(change: Record<string, string>): Uint8Array {
  const attributes = bytes(Object.values({ ...GOOD, ...change }).join(''));
  const nlri = bytes(NLRI);
  const length = 23 + attributes.length + nlri.length;
  const u16 = (n: number) => n.toString(16).padStart(4, '0');
  return bytes(
    `${MARKER}${u16(length)}020000${u16(attributes.length)}${hex(attributes)}${hex(nlri)}`,
  );
}

const WITHDRAWN: [string, Record<string, string>][] = [
  ['ORIGIN absent', { origin: '' }],
  ['ORIGIN 3', { origin: '400101 03' }],
  ['ORIGIN empty', { origin: '400100' }],
  ['ORIGIN of 2 octets', { origin: '400102 0000' }],
  ['ORIGIN optional', { origin: 'c00101 00' }],
  ['AS_PATH absent', { asPath: '' }],
  ['AS_PATH with an empty segment', { asPath: '400202 0200' }],
  ['AS_PATH with an unknown segment', { asPath: '400206 0701 00000001' }],
  ['AS_PATH cut short', { asPath: '400204 0201 0000' }],
  ['AS_PATH with AS 0', { asPath: '400206 0201 00000000' }],
  ['NEXT_HOP absent', { nextHop: '' }],
  ['NEXT_HOP of 5 octets', { nextHop: '400305 0ac8000c00' }],
  ['NEXT_HOP empty', { nextHop: '400300' }],
  ['LOCAL_PREF absent', { localPref: '' }],
  ['LOCAL_PREF of 3 octets', { localPref: '400503 000064' }],
  ['MED of 3 octets', { med: '800403 000001' }],
  ['COMMUNITIES of 3 octets', { communities: 'c00803 000001' }],
  ['COMMUNITIES empty', { communities: 'c00800' }],
  ['ORIGINATOR_ID of 3 octets', { originatorId: '800903 010203' }],
  ['CLUSTER_LIST of 5 octets', { clusterList: '800a05 0102030405' }],
  ['an attribute beyond the list', { med: '8004ff 00' }],
];
for (const [name, change] of WITHDRAWN) {
  test(`treated as withdraw: ${name}`, () => {
    const decoded = decodeMessage(withAttributes(change), INTERNAL);
    assert(decoded.ok && decoded.value.kind === 'update', JSON.stringify(decoded));
    assert.deepEqual(decoded.value.withdrawn, ['192.168.1.64/26']);
    assert.deepEqual(decoded.value.announced, []);
    assert.notEqual(decoded.value.faults, undefined);
  });
}

const DISCARDED: [string, Record<string, string>][] = [
  ['ATOMIC_AGGREGATE of 1 octet', { atomic: '400601 00' }],
  ['AGGREGATOR of 6 octets', { aggregator: 'c00706 fc00 01010101' }],
  ['ORIGIN repeated', { again: '400101 02' }],
  ['AS4_PATH from a new speaker', { as4: 'c01106 0201 00000001' }],
];
for (const [name, change] of DISCARDED) {
  test(`attribute discarded: ${name}`, () => {
    const decoded = decodeMessage(withAttributes(change), INTERNAL);
    assert(decoded.ok && decoded.value.kind === 'update');
    assert.deepEqual(decoded.value.attributes, MINIMAL);
    assert.equal(decoded.value.faults?.length, 1);
  });
}

test('LOCAL_PREF and reflection attributes of an external peer are not believed', () => {
  const data = withAttributes({ originatorId: '800904 01020304', clusterList: '800a04 01020304' });
  const decoded = decodeMessage(data, EXTERNAL);
  assert(decoded.ok && decoded.value.kind === 'update');
  assert.deepEqual(decoded.value.attributes, { origin: 'igp', asPath: [] });
  assert.equal(decoded.value.faults?.length, 3);
});

test('unknown optional attributes: transitive ones are kept as partial, others forgotten', () => {
  const decoded = decodeMessage(withAttributes({ a: 'c0c801 07', b: '80c901 08' }), INTERNAL);
  assert(decoded.ok && decoded.value.kind === 'update');
  const kept = [{ flags: 0xe0, type: 200, value: bytes('07') }];
  assert.deepEqual(decoded.value.attributes, { ...MINIMAL, unknown: kept });
});

test('to an old speaker: AS_TRANS in AS_PATH, the truth in AS4_PATH, and merged when read', () => {
  const value = update({
    announced: [{ nextHop: ip('10.0.0.1'), prefixes: [cidr('10.1.0.0/16')] }],
    attributes: {
      origin: 'igp',
      asPath: [{ kind: 'sequence', asns: [as(65001), as(4200000000)] }],
      localPref: 1,
    },
  });
  const old = { fourOctetAs: false, external: false };
  const data = encodeMessage(value, old);
  assert.match(hex(data), /40020602 ?02fde95ba0/);
  assert.deepEqual(decodeMessage(data, old), { ok: true, value });
});

test('the length of an AS path: a set counts once, confederation segments not at all', () => {
  const path = [
    { kind: 'confederationSequence' as const, asns: [as(1), as(2)] },
    { kind: 'sequence' as const, asns: [as(3), as(4)] },
    { kind: 'set' as const, asns: [as(5), as(6), as(7)] },
  ];
  assert.equal(lengthOfAsPath(path), 3);
});

const asn = fc.integer({ min: 1, max: 0xffffffff }).map(as);
const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes);
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(ipFromBytes);
const prefixes = (address: typeof v4, bits: number) =>
  fc.uniqueArray(
    fc.tuple(address, fc.integer({ min: 0, max: bits })).map(([a, n]) => cidrOf(a, n)),
    { minLength: 1, maxLength: 40 },
  );
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const optional = <K extends string, T>(key: K, value: fc.Arbitrary<T>) =>
  fc.option(value.map((v) => ({ [key]: v }))).map((o) => o ?? {});
const PLAIN = { noNullPrototype: true };
const segment = fc.record(
  {
    kind: fc.constantFrom('set' as const, 'sequence' as const),
    asns: fc.array(asn, { minLength: 1, maxLength: 100 }),
  },
  PLAIN,
);
const attributes = fc
  .tuple(
    fc.record({
      origin: fc.constantFrom('igp' as const, 'egp' as const, 'incomplete' as const),
      asPath: fc.array(segment, { maxLength: 3 }),
      localPref: u32,
    }),
    optional('med', u32),
    optional('atomicAggregate', fc.constant(true as const)),
    optional(
      'aggregator',
      fc.tuple(asn, v4).map(([asn, address]) => ({ asn, address })),
    ),
    optional('communities', fc.array(u32, { minLength: 1, maxLength: 80 })),
    optional('originatorId', v4),
    optional('clusterList', fc.array(u32, { minLength: 1, maxLength: 5 })),
  )
  .map((parts) => Object.assign({}, ...parts) as PathAttributes);
const anyUpdate = fc
  .record({
    attributes,
    v4: fc.option(fc.record({ nextHop: v4, prefixes: prefixes(v4, 32) }, PLAIN)),
    v6: fc.option(fc.record({ nextHop: v6, prefixes: prefixes(v6, 128) }, PLAIN)),
    gone: fc.option(prefixes(v4, 32)),
  })
  .map(({ attributes, v4, v6, gone }) => {
    const announced = [v4, v6].filter((a) => a !== null);
    const come = new Set(announced.flatMap((a) => a.prefixes));
    const withdrawn = (gone ?? []).filter((prefix) => !come.has(prefix));
    if (announced.length === 0) return update(withdrawn.length > 0 ? { withdrawn } : endOfRib(4));
    return update({ withdrawn, announced, attributes });
  });

test('UPDATE: decode after encode is the identity', () => {
  fc.assert(
    fc.property(anyUpdate, (value) => {
      const data = encodeMessage(value, INTERNAL);
      assert.deepEqual(decodeMessage(data, INTERNAL), { ok: true, value });
    }),
    { numRuns: 300 },
  );
});

/** Decodes whatever can be cut out of the bytes, and must not throw. */
function devour(data: Uint8Array): void {
  const taken = takeMessage(data);
  if (!taken.ok || !taken.value) return;
  for (const context of [INTERNAL, EXTERNAL, { fourOctetAs: false, external: true }])
    decodeMessage(taken.value, context);
}

test('no bytes make the codec throw: random bodies', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.uint8Array({ maxLength: 200 }), (type, body) => {
      const length = 19 + body.length;
      const header = [...Array<number>(16).fill(255), length >> 8, length & 255, type];
      devour(Uint8Array.from([...header, ...body]));
    }),
    { numRuns: 3000 },
  );
});

test('no bytes make the codec throw: good messages, mutated and cut at every octet', () => {
  const samples = PAIRS.map((pair) => bytes(MARKER + pair.hex));
  for (const sample of samples)
    for (let cut = 19; cut < sample.length; cut++) {
      const short = sample.slice(0, cut);
      short.set([cut >> 8, cut & 255], 16);
      devour(short);
    }
  fc.assert(
    fc.property(
      fc.constantFrom(...samples, withAttributes({})),
      fc.array(fc.tuple(fc.nat(4095), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (sample, changes) => {
        const mutant = sample.slice();
        for (const [at, octet] of changes) mutant[19 + (at % (mutant.length - 18))] = octet;
        devour(mutant);
      },
    ),
    { numRuns: 3000 },
  );
});

test('a message is taken only when it is whole', () => {
  const whole = encodeMessage({ kind: 'keepalive' }, INTERNAL);
  const two = Uint8Array.from([...whole, ...whole]);
  for (let n = 0; n < whole.length; n++)
    assert.deepEqual(takeMessage(two.subarray(0, n)), { ok: true, value: undefined });
  assert.deepEqual(takeMessage(two), { ok: true, value: whole });
});
