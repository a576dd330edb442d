import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAsn } from './asn.ts';
import { cidr, cidrOf, contains, containsCidr, ipAt, ordinalOf, parseCidr } from './cidr.ts';
import { podInterfaceName } from './ifname.ts';
import {
  bytesOfIp,
  compareIp,
  ip,
  ipFromBytes,
  ipFromValue,
  ipv4FromValue,
  parseIp,
  valueOfIp,
  valueOfIpv4,
} from './ip.ts';
import { bytesOfMac, mac, macFromBytes } from './mac.ts';

test('IPv4 addresses as integers, bytes and text agree with the general way', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (text, length) => {
      const octets = text.split('.').map(Number);
      const value = octets.reduce((sum, octet) => sum * 256 + octet, 0);
      assert.equal(valueOfIpv4(ip(text)), value);
      assert.equal(ipv4FromValue(value), text);
      assert.deepEqual([...bytesOfIp(ip(text))], octets);
      assert.equal(ipFromBytes(Uint8Array.from(octets)), text);
      const bits = BigInt(32 - length);
      const network = ipFromValue((BigInt(value) >> bits) << bits, 4);
      assert.equal(cidrOf(ip(text), length), `${network}/${length}`);
    }),
  );
});

test('addresses: text to canonical text', () => {
  const cases: [string, string | undefined][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['010.0.0.1', undefined],
    ['256.0.0.1', undefined],
    ['1.2.3', undefined],
    ['', undefined],
    ['::', '::'],
    ['::1', '::1'],
    ['FE80:0:0:0:ECEE:EEFF:FEEE:EEEE', 'fe80::ecee:eeff:feee:eeee'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    ['1::2::3', undefined],
    ['1:2:3:4:5:6:7', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['g::', undefined],
  ];
  for (const [text, expected] of cases) assert.equal(parseIp(text), expected, text);
});

test('addresses: bytes and values are inverse', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = ip(text);
      assert.equal(ipFromBytes(bytesOfIp(address)), address);
      assert.equal(ipFromValue(valueOfIp(address), address.includes(':') ? 6 : 4), address);
    }),
  );
});

test('prefixes: parse, membership, ordinals', () => {
  assert.equal(parseCidr('192.168.203.77/26'), '192.168.203.64/26');
  assert.equal(parseCidr('10.0.0.1'), '10.0.0.1/32');
  assert.equal(parseCidr('10.0.0.0/33'), undefined);
  assert.equal(parseCidr('fd00::1/122'), 'fd00::/122');
  const block = cidr('192.200.59.192/26');
  assert.equal(ordinalOf(block, ip('192.200.59.198')), 6);
  assert.equal(ipAt(block, 63), '192.200.59.255');
  assert.ok(contains(cidr('0.0.0.0/0'), ip('1.2.3.4')));
  assert.ok(!contains(cidr('0.0.0.0/0'), ip('::1')));
  assert.ok(containsCidr(cidr('192.200.0.0/16'), block));
  assert.ok(!containsCidr(block, cidr('192.200.0.0/16')));
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 8, max: 32 }), (text, length) => {
      const c = cidrOf(ip(text), length);
      assert.equal(ipAt(c, ordinalOf(c, ip(text))), text);
    }),
  );
});

test('order is numeric', () => {
  const sorted = ['10.0.0.10', '10.0.0.9', '::1'].map(ip).sort(compareIp);
  assert.deepEqual(sorted, ['10.0.0.9', '10.0.0.10', '::1']);
});

test('AS numbers: asplain, asdot, bounds', () => {
  assert.equal(parseAsn('4200000000'), 4200000000);
  assert.equal(parseAsn('64086.59904'), 4200000000);
  assert.equal(parseAsn(0), undefined);
  assert.equal(parseAsn(4294967296), undefined);
  assert.equal(parseAsn('1.65536'), undefined);
});

test('interface names and MACs', () => {
  assert.equal(podInterfaceName('default', 'nginx'), 'calic440f455693');
  assert.equal(macFromBytes(bytesOfMac(mac('EE:ee:ee:ee:ee:01'))), 'ee:ee:ee:ee:ee:01');
});
