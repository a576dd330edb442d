// RFC 5880 section 4.1: each packet once as bytes and once as values, both ways; what is discarded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ControlPacket, decodePacket, diagnosticText, encodePacket } from './packet.ts';

const DOWN: ControlPacket = {
  diagnostic: 0,
  state: 'down',
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMultiplier: 3,
  myDiscriminator: 1,
  yourDiscriminator: 0,
  desiredMinTransmitUs: 1_000_000,
  requiredMinReceiveUs: 150_000,
  requiredMinEchoReceiveUs: 0,
};

const bytes = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
const BEGIN = '20400318 00000001 00000000 000f4240 000249f0 00000000';

const PAIRS: readonly [string, Partial<ControlPacket>, string][] = [
  ['the first packet', {}, BEGIN],
  [
    'Init, the peer known',
    { state: 'init', yourDiscriminator: 0xfedcba98 },
    '20800318 00000001 fedcba98 000f4240 000249f0 00000000',
  ],
  [
    'Up with Poll',
    { state: 'up', poll: true, yourDiscriminator: 7, desiredMinTransmitUs: 150_000 },
    '20e00318 00000001 00000007 000249f0 000249f0 00000000',
  ],
  [
    'Up with Final, demand, control plane independent, an echo interval',
    {
      state: 'up',
      final: true,
      demand: true,
      controlPlaneIndependent: true,
      yourDiscriminator: 7,
      requiredMinEchoReceiveUs: 50_000,
    },
    '20da0318 00000001 00000007 000f4240 000249f0 0000c350',
  ],
  [
    'Down by expiry; the longest intervals',
    {
      diagnostic: 1,
      detectMultiplier: 255,
      myDiscriminator: 0xffffffff,
      desiredMinTransmitUs: 0xffffffff,
      requiredMinReceiveUs: 0xffffffff,
    },
    '2140ff18 ffffffff 00000000 ffffffff ffffffff 00000000',
  ],
  [
    'AdminDown',
    { diagnostic: 7, state: 'adminDown', yourDiscriminator: 9 },
    '27000318 00000001 00000009 000f4240 000249f0 00000000',
  ],
];

for (const [name, fields, hex] of PAIRS) {
  test(`${name}: both ways`, () => {
    const packet = { ...DOWN, ...fields };
    assert.deepEqual(Buffer.from(encodePacket(packet)), bytes(hex));
    assert.deepEqual(decodePacket(bytes(hex)), { ok: true, value: packet });
  });
}

const DISCARDED: readonly [string, string, string][] = [
  ['23 octets', '20400318 00000001 00000000 000f4240 000249f0 000000', '23 octets are no packet'],
  ['another version', `00${BEGIN.slice(2)}`, 'version 0'],
  ['a length below 24', `20400317${BEGIN.slice(8)}`, 'length 23 of 24'],
  ['a length above the payload', `20400319${BEGIN.slice(8)}`, 'length 25 of 24'],
  ['an authenticated one below 26', `20440318${BEGIN.slice(8)}`, 'length 24 of 24'],
  ['multiplier 0', `20400018${BEGIN.slice(8)}`, 'multiplier 0'],
  ['multipoint', `20410318${BEGIN.slice(8)}`, 'multipoint'],
  ['Poll and Final at once', `20700318${BEGIN.slice(8)}`, 'poll and final'],
  ['discriminator 0', BEGIN.replace('00000001', '00000000'), 'discriminator 0'],
  ['Init for no session', `20800318${BEGIN.slice(8)}`, 'init for no session'],
  ['Up for no session', `20c00318${BEGIN.slice(8)}`, 'up for no session'],
  [
    'authentication, which is not in use',
    `2044031b${BEGIN.slice(8)} 010300`,
    'authentication is not in use',
  ],
];

for (const [name, hex, reason] of DISCARDED) {
  test(`discarded: ${name}`, () => {
    assert.deepEqual(decodePacket(bytes(hex)), { ok: false, error: reason });
  });
}

test('octets behind the packet are ignored, wherever the packet lies in its buffer', () => {
  const buffer = bytes(`ffff ${BEGIN} 0102`);
  assert.deepEqual(decodePacket(buffer.subarray(2)), { ok: true, value: DOWN });
});

test('any octets: a packet that stays the same both ways, or a reason; never an exception', () => {
  const likely = fc
    .tuple(fc.uint8Array({ minLength: 24, maxLength: 28 }), fc.boolean())
    .map(([octets, plain]) =>
      plain ? Uint8Array.of(0x20, octets[1]!, 3, 24, ...octets.slice(4)) : octets,
    );
  fc.assert(
    fc.property(fc.oneof(likely, fc.uint8Array({ maxLength: 64 })), (octets) => {
      const decoded = decodePacket(octets);
      if (!decoded.ok) return decoded.error.length > 0;
      assert.deepEqual(decodePacket(encodePacket(decoded.value)), decoded);
      return true;
    }),
    { numRuns: 20_000 },
  );
});

test('diagnostics in words', () => {
  assert.equal(diagnosticText(1), 'Control Detection Time Expired');
  assert.equal(diagnosticText(30), 'Diagnostic 30');
});
