import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAsn } from '../../net/asn.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { encodePeerIndexTable, encodeRib } from './mrt.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const asns = [parseAsn(64512)!];
const attributes = { origin: 'igp', asPath: [{ kind: 'sequence', asns }], localPref: 100 } as const;
const path = { peer: 1, pathId: 0, since: 0x5f000000, attributes, nextHop: ip('10.0.0.2') };

test('peer index table: an IPv4 and an IPv6 peer, AS numbers of 4 octets', () => {
  const peers = [
    { routerId: ip('10.0.0.2'), address: ip('10.0.0.2'), asn: 64512 },
    { routerId: ip('10.0.0.3'), address: ip('fd00::3'), asn: 4200000000 },
  ];
  assert.equal(
    hex(encodePeerIndexTable(0x60000000, ip('10.0.0.1'), 'v', peers)),
    '60000000' +
      '000d' +
      '0001' +
      '0000002f' +
      '0a000001' +
      '0001' +
      '76' +
      '0002' +
      '02' +
      '0a000002' +
      '0a000002' +
      '0000fc00' +
      '03' +
      '0a000003' +
      'fd000000000000000000000000000003' +
      'fa56ea00',
  );
});

test('a prefix of IPv4: as many octets as its length needs', () => {
  assert.equal(
    hex(encodeRib(1, 7, cidr('192.168.1.64/26'), [path])),
    '00000001' +
      '000d' +
      '0002' +
      '0000002e' +
      '00000007' +
      '1a' +
      'c0a80140' +
      '0001' +
      '0001' +
      '5f000000' +
      '001b' +
      '40010100' +
      '40020602010000fc00' +
      '4003040a000002' +
      '40050400000064',
  );
});

test('with path identifiers (RFC 8050)', () => {
  const text = hex(encodeRib(1, 0, cidr('10.0.0.0/8'), [{ ...path, pathId: 9 }]));
  assert.match(text, /^00000001000d0008/);
  assert.ok(text.includes('5f000000' + '00000009' + '001b'));
});

test('IPv6: of MP_REACH_NLRI only the next hop', () => {
  const text = hex(encodeRib(1, 0, cidr('fd00::/64'), [{ ...path, nextHop: ip('fe80::1') }]));
  assert.match(text, /^00000001000d0004/);
  assert.ok(text.endsWith('800e1110fe800000000000000000000000000001'));
});
