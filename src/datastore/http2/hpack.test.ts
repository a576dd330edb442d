import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeHeaders, encodeHeaders } from './hpack.ts';
import { decodeHuffman } from './huffman.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

test('Huffman: the examples of RFC 7541, appendix C.4 and C.6', () => {
  assert.equal(decodeHuffman(hex('f1e3c2e5f23a6ba0ab90f4ff')), 'www.example.com');
  assert.equal(decodeHuffman(hex('a8eb10649cbf')), 'no-cache');
  assert.equal(decodeHuffman(hex('25a849e95ba97d7f')), 'custom-key');
  assert.equal(
    decodeHuffman(hex('d07abe941054d444a8200595040b8166e082a62d1bff')),
    'Mon, 21 Oct 2013 20:13:21 GMT',
  );
  assert.equal(decodeHuffman(hex('')), '');
});

test('Huffman: no padding but the beginning of the end, and not a byte of it', () => {
  assert.equal(decodeHuffman(hex('00')), undefined); // '0', then zeros
  assert.equal(decodeHuffman(hex('a8eb10649cbfff')), undefined);
  assert.equal(decodeHuffman(hex('ffffffff')), undefined); // the end itself
});

test('HPACK: indexed fields, literals of every kind, with and without Huffman', () => {
  const block = hex(
    `20 88 5f 10 6170706c69636174696f6e2f67727063
     40 0a 637573746f6d2d6b6579 0d 637573746f6d2d686561646572
     04 0c 2f73616d706c652f70617468
     10 08 70617373776f7264 06 736563726574
     00 88 25a849e95ba97d7f 89 25a849e95bb8e8b4bf`,
  );
  assert.deepEqual(
    [...decodeHeaders(block)],
    [
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['custom-key', 'custom-value'],
      [':path', '/sample/path'],
      ['password', 'secret'],
    ],
  );
});

test('HPACK: a dynamic table, a broken block', () => {
  const bad = ['3fe11f', 'be', '80', '7f', '0003', '00ff ffff ffff 7f', '0082 00'];
  for (const block of bad) assert.throws(() => decodeHeaders(hex(block)), /HPACK/, block);
});

test('HPACK: what is encoded is decoded', () => {
  const text = fc.string({ minLength: 1, maxLength: 300 });
  const headers = fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name });
  fc.assert(
    fc.property(headers, (fields) => {
      assert.deepEqual([...decodeHeaders(encodeHeaders(fields))], fields);
    }),
  );
});

test('HPACK: arbitrary bytes give fields or an error, and always an end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeHeaders(Buffer.from(bytes));
      } catch (cause) {
        assert.match(String(cause), /HPACK/);
      }
    }),
  );
});
