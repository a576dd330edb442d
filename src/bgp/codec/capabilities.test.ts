// Every capability, NOTIFICATION and ROUTE-REFRESH once as bytes and once as value.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Asn } from '../../net/asn.ts';
import { ip } from '../../net/ip.ts';
import type { Capability } from './capabilities.ts';
import { decodeMessage, encodeMessage, type Message, takeMessage } from './message.ts';
import { CEASE, ERROR, hardReset, notification, notificationText } from './notification.ts';
import { shutdownData, shutdownTextOf } from './shutdown.ts';

const MARKER = 'ff'.repeat(16);
const CONTEXT = { fourOctetAs: true, external: false };
const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
const octet = (n: number): string => n.toString(16).padStart(2, '0');

const FAMILIES: readonly (4 | 6)[] = [4, 6];
const CAPABILITIES: [hex: string, value: Capability][] = [
  ['01 04 0001 00 01', { kind: 'multiprotocol', family: 4 }],
  ['01 04 0002 00 01', { kind: 'multiprotocol', family: 6 }],
  ['02 00', { kind: 'routeRefresh' }],
  ['05 06 0001 0001 0002', { kind: 'extendedNextHop' }],
  ['06 00', { kind: 'extendedMessage' }],
  ['41 04 fa56ea00', { kind: 'fourOctetAs', asn: 4200000000 as Asn }],
  ['46 00', { kind: 'enhancedRefresh' }],
  [
    '40 02 0078',
    {
      kind: 'gracefulRestart',
      restarting: false,
      notifies: false,
      restartSeconds: 120,
      families: [],
    },
  ],
  [
    '40 0a c078 0001 01 80 0002 01 00',
    {
      kind: 'gracefulRestart',
      restarting: true,
      notifies: true,
      restartSeconds: 120,
      families: [
        { family: 4, forwardingPreserved: true },
        { family: 6, forwardingPreserved: false },
      ],
    },
  ],
  [
    '45 08 0001 01 03 0002 01 01',
    {
      kind: 'addPath',
      families: [
        { family: 4, receive: true, send: true },
        { family: 6, receive: true, send: false },
      ],
    },
  ],
  [
    '47 0e 0001 01 80 015180 0002 01 00 000000',
    {
      kind: 'longLived',
      families: [
        { family: 4, forwardingPreserved: true, staleSeconds: 86_400 },
        { family: 6, forwardingPreserved: false, staleSeconds: 0 },
      ],
    },
  ],
  ['47 00', { kind: 'longLived', families: [] }],
  ['49 02 0178', { kind: 'unknown', code: 73, data: bytes('0178') }],
];

const openWith = (capabilities: readonly Capability[]): Message => ({
  kind: 'open',
  version: 4,
  asn: (capabilities.find((c) => c.kind === 'fourOctetAs')?.asn ?? 64512) as Asn,
  holdTimeSeconds: 90,
  routerId: ip('10.0.0.1'),
  capabilities,
});

function openBytes(capability: string, asn: string): Uint8Array {
  const n = bytes(capability).length;
  const body = `04 ${asn} 005a 0a000001 ${octet(n + 2)} 02 ${octet(n)} ${capability}`;
  return bytes(`${MARKER} 00${octet(19 + bytes(body).length)} 01 ${body}`);
}

for (const [hex, value] of CAPABILITIES) {
  test(`capability ${hex}: bytes <-> value`, () => {
    const message = openWith([value]);
    const whole = openBytes(hex, value.kind === 'fourOctetAs' ? '5ba0' : 'fc00');
    assert.deepEqual(Buffer.from(encodeMessage(message, CONTEXT)), Buffer.from(whole));
    assert.deepEqual(decodeMessage(whole, CONTEXT), { ok: true, value: message });
  });
}

/** What is malformed counts as unknown, what is not unicast or repeated is left out (RFC 5492). */
const IGNORED: [what: string, hex: string, value: Capability][] = [
  ['multicast', '01 04 0001 00 02', { kind: 'unknown', code: 1, data: bytes('00010002') }],
  ['refresh with a value', '02 01 00', { kind: 'unknown', code: 2, data: bytes('00') }],
  [
    'next hops of other families',
    '05 06 0001 0004 0002',
    { kind: 'unknown', code: 5, data: bytes('000100040002') },
  ],
  [
    'graceful restart cut short',
    '40 03 0078 00',
    { kind: 'unknown', code: 64, data: bytes('007800') },
  ],
  [
    'add-path of multicast, of no direction, and twice',
    '45 10 0001 02 03 0002 01 04 0001 01 01 0001 01 02',
    { kind: 'addPath', families: [{ family: 4, receive: true, send: false }] },
  ],
  [
    'long-lived cut short',
    '47 06 0001 01 80 0151',
    { kind: 'unknown', code: 71, data: bytes('000101800151') },
  ],
];
for (const [what, hex, value] of IGNORED) {
  test(`capability ignored: ${what}`, () => {
    const decoded = decodeMessage(openBytes(hex, 'fc00'), CONTEXT);
    assert.deepEqual(decoded, { ok: true, value: openWith([value]) });
  });
}

const text = 'maintenance until 18:00, fünf Knoten';
const OTHERS: [name: string, hex: string, value: Message, words?: string][] = [
  [
    'ROUTE-REFRESH: begin',
    '0017 05 0002 01 01',
    { kind: 'routeRefresh', family: 6, subtype: 'begin' },
  ],
  ['ROUTE-REFRESH: end', '0017 05 0001 02 01', { kind: 'routeRefresh', family: 4, subtype: 'end' }],
  [
    'NOTIFICATION: hold timer',
    '0015 03 04 00',
    notification(ERROR.holdTimer),
    'Hold Timer Expired (4/0)',
  ],
  [
    'NOTIFICATION: Bad Peer AS with data',
    '0017 03 02 02 fde9',
    notification(ERROR.open, 2, bytes('fde9')),
    'OPEN Message Error: Bad Peer AS (2/2)',
  ],
  [
    'NOTIFICATION: administrative shutdown with a text',
    `003b 03 06 02 25 ${Buffer.from(text).toString('hex')}`,
    notification(ERROR.cease, CEASE.administrativeShutdown, shutdownData(text)),
    `Cease: Administrative Shutdown (6/2): "${text}"`,
  ],
  [
    'NOTIFICATION: hard reset because of BFD',
    '0017 03 06 09 06 0a',
    hardReset(notification(ERROR.cease, CEASE.bfdDown)),
    'Cease: Hard Reset (6/9): Cease: BFD Down (6/10)',
  ],
];
for (const [name, hex, value, words] of OTHERS) {
  test(`${name}: bytes <-> value`, () => {
    const whole = bytes(MARKER + hex);
    assert.deepEqual(Buffer.from(encodeMessage(value, CONTEXT)), Buffer.from(whole));
    assert.deepEqual(decodeMessage(whole, CONTEXT), { ok: true, value });
    if (words && value.kind === 'notification') assert.equal(notificationText(value), words);
  });
}

test('ROUTE-REFRESH of an unknown subtype, family or length (RFC 7313 section 5)', () => {
  const decoded = (hex: string) => {
    const result = decodeMessage(bytes(MARKER + hex), CONTEXT);
    if (!result.ok) return notificationText(result.error);
    assert(result.value.kind === 'routeRefresh');
    return `${result.value.family} ${result.value.subtype}`;
  };
  assert.equal(decoded('0017 05 0001 03 01'), '4 undefined');
  assert.equal(decoded('0017 05 0001 00 02'), 'undefined request');
  assert.equal(decoded('0018 05 0001 00 01 00'), '4 undefined');
  assert.equal(
    decoded('0018 05 0001 01 01 00'),
    'ROUTE-REFRESH Message Error: Invalid Message Length (7/1)',
  );
});

test('shutdown text: 255 octets at most, cut at a character; bad lengths and encodings are no text', () => {
  const said = (data: Uint8Array) => shutdownTextOf(notification(ERROR.cease, 2, data));
  assert.equal(said(shutdownData('ü'.repeat(200))), 'ü'.repeat(127));
  assert.equal(said(bytes('00')), undefined);
  assert.equal(said(bytes('05 4142')), undefined);
  assert.equal(said(bytes('02 c328')), undefined);
  // What follows the text is nobody's business.
  assert.equal(said(bytes('02 4142 4344')), 'AB');
  assert.equal(shutdownTextOf(notification(ERROR.cease, 3, shutdownData('no'))), undefined);
});

test('a NOTIFICATION fits whatever its data', () => {
  const whole = encodeMessage(notification(3, 1, new Uint8Array(65_000)), CONTEXT);
  assert.equal(whole.length, 4096);
});

test('extended messages: only where agreed, never OPEN or KEEPALIVE (RFC 8654)', () => {
  const head = (length: number, type: number) =>
    bytes(`${MARKER}${length.toString(16).padStart(4, '0')}${octet(type)}`);
  const verdict = (length: number, type: number, most?: number) => {
    const taken = takeMessage(head(length, type), most);
    return taken.ok ? 'waits' : notificationText(taken.error);
  };
  const bad = 'Message Header Error: Bad Message Length (1/2)';
  assert.equal(verdict(4096, 2), 'waits');
  assert.equal(verdict(4097, 2), bad);
  for (const type of [2, 3, 5]) assert.equal(verdict(65_535, type, 65_535), 'waits');
  for (const type of [1, 4]) assert.equal(verdict(4097, type, 65_535), bad);
});

test('OPEN: whatever capabilities, decode after encode is the identity, in both length forms', () => {
  const family = fc.constantFrom(...FAMILIES);
  const preserved = (families: readonly (4 | 6)[]) =>
    families.map((f) => ({ family: f, forwardingPreserved: f === 4 }));
  const capability: fc.Arbitrary<Capability> = fc.oneof(
    ...CAPABILITIES.map(([, value]) => fc.constant(value)),
    family.map((f) => ({ kind: 'multiprotocol' as const, family: f })),
    fc.tuple(fc.subarray([...FAMILIES]), fc.nat(4095)).map(([families, restartSeconds]) => ({
      kind: 'gracefulRestart' as const,
      restarting: restartSeconds % 2 === 0,
      notifies: restartSeconds % 3 === 0,
      restartSeconds,
      families: preserved(families),
    })),
    fc
      .uint8Array({ maxLength: 100 })
      .map((data) => ({ kind: 'unknown' as const, code: 200, data })),
  );
  fc.assert(
    fc.property(fc.array(capability, { maxLength: 30 }), (capabilities) => {
      const message = openWith(capabilities);
      const whole = encodeMessage(message, CONTEXT);
      assert.deepEqual(decodeMessage(whole, CONTEXT), { ok: true, value: message });
    }),
    { numRuns: 500 },
  );
});
