import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageWriter, messagesIn } from '../netlink/message.ts';
import { decodeSetHeader, encodeDumpSetHeaders } from './headers.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');

test('the question for the headers of all sets', () => {
  const writer = new MessageWriter();
  encodeDumpSetHeaders(writer, 7);
  const question = bytes(`
    24000000 0706 0103 07000000 00000000
    00000000
    0500 0100 06 000000
    0800 0600 00000004
  `);
  assert.deepEqual(writer.finish(), question);
});

test('a header tells name and members; what is no header tells nothing', () => {
  const answer = bytes(`
    58000000 0706 0200 07000000 00000000
    02000000
    0500 0100 06 000000
    0b00 0200 63616c69343000 00
    0c00 0300 686173683a697000
    2400 0780 0800 1840 000000fa 0800 1940 00000002 0800 1a40 00001c98 0800 1240 00000400
  `);
  const [message] = messagesIn(answer);
  assert.deepEqual(decodeSetHeader(message!), { name: 'cali40', size: 250 });
  assert.equal(decodeSetHeader({ ...message!, type: 3 }), undefined);
  assert.equal(decodeSetHeader({ ...message!, body: message!.body.subarray(0, 24) }), undefined);
});
