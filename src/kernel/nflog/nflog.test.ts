import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageWriter } from '../netlink/message.ts';
import { headerOf } from './header.ts';
import { encodeListen, loggedPacketOf } from './message.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

test('what makes a socket listen to group 1', () => {
  const bytes = encodeListen(1).map((encode) => {
    const writer = new MessageWriter(64);
    encode(writer, 7);
    return writer.finish().toString('hex');
  });
  const header = (length: string) => `${length}000000 0104 0500 07000000 00000000 00 00 0001`;
  assert.deepEqual(
    bytes,
    [
      `${header('1c')} 0500 0100 01 000000`,
      `${header('20')} 0a00 0200 00000080 02 00 0000`,
      `${header('1c')} 0800 0500 00000040`,
      `${header('1c')} 0800 0400 0000000a`,
      `${header('1c')} 0600 0600 0001 0000`,
    ].map((text) => hex(text).toString('hex')),
  );
});

test('a logged packet; other messages are none', () => {
  const body = hex('02 00 0001  0800 0a00 70203100  0800 0c00 00000005  0700 0900 450000 00');
  const message = { type: 0x400, flags: 0, sequence: 0, port: 0, body };
  const packet = loggedPacketOf(message)!;
  assert.deepEqual([packet.prefix, packet.sequence], ['p 1', 5]);
  assert.equal(packet.payload.toString('hex'), '450000');
  assert.equal(loggedPacketOf({ ...message, type: 3 }), undefined);
});

const V4 = '45 00 0028 0000 4000 40 06 0000 0a010002 0a010003';
test('TCP over IPv4; a later fragment has no ports', () => {
  const ends = { source: '10.1.0.2', destination: '10.1.0.3' };
  assert.deepEqual(headerOf(hex(`${V4} 1267 0050 00000000`)), {
    ...ends,
    protocol: 6,
    sourcePort: 4711,
    destinationPort: 80,
  });
  assert.deepEqual(headerOf(hex(`${V4.replace('4000', '0010')} 1267 0050`)), {
    ...ends,
    protocol: 6,
  });
});

test('ICMPv6 behind hop-by-hop options', () => {
  const addresses = `fd${'00'.repeat(14)}01 fd${'00'.repeat(14)}02`;
  assert.deepEqual(headerOf(hex(`60000000 0010 00 40 ${addresses} 3a00000000000000 8000 0000`)), {
    source: 'fd00::1',
    destination: 'fd00::2',
    protocol: 58,
    icmp: { type: 128, code: 0 },
  });
});

test('any octets: reading stays within them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
      headerOf(Buffer.from(bytes));
      loggedPacketOf({ type: 0x400, flags: 0, sequence: 0, port: 0, body: Buffer.from(bytes) });
    }),
  );
});
