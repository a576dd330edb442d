// The netlink codec: bytes beside values, encode and decode as inverse pairs, and damaged input.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cidr, cidrOf } from '../../net/cidr.ts';
import { bitsOf, type Family, ip, ipFromBytes } from '../../net/ip.ts';
import { mac, macFromBytes } from '../../net/mac.ts';
import type { LinkChange, Route } from '../kernel.ts';
import { decodeAddress, encodeAddAddress, encodeDeleteAddress } from './address.ts';
import { describeChange, encodeChange } from './change.ts';
import {
  decodeLink,
  type Encoded,
  encodeDeleteLink,
  encodeDeleteLinkGroup,
  encodeGetLink,
  encodeSetLink,
  encodeVeth,
} from './link.ts';
import { ackOf, attributesOf, type Message, MessageWriter, messagesIn } from './message.ts';
import {
  decodeForwarding,
  decodeNeighbour,
  encodeSetForwarding,
  encodeSetNeighbour,
} from './neighbour.ts';
import { decodeRoute, encodeAddRoute, encodeDeleteRoute, encodeReplaceRoute } from './route.ts';
import { encodeVxlan } from './vxlan.ts';

const bytesOf = (encode: Encoded, sequence = 7): Buffer => {
  const writer = new MessageWriter(512);
  encode(writer, sequence);
  return writer.finish();
};
const messageOf = (encode: Encoded): Message => [...messagesIn(bytesOf(encode))][0]!;
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

const blackhole: Route = {
  destination: cidr('192.168.7.0/26'),
  kind: 'blackhole',
  scope: 'global',
  onlink: false,
  protocol: 12,
  metric: 0,
};
const ADDRESS = { linkIndex: 3, ip: ip('192.168.7.5'), prefixLength: 32 };

/** What is written, and its bytes: header (length, type, flags, sequence, port), body, attributes. */
const BYTES: readonly (readonly [string, Encoded, string])[] = [
  [
    'a blackhole',
    encodeAddRoute(blackhole),
    `24000000 1800 0506 07000000 00000000  02 1a 00 00 fe 0c 00 06 00000000  0800 0100 c0a80700`,
  ],
  [
    'a default route by a gateway that is on the link',
    encodeReplaceRoute({
      ...blackhole,
      destination: cidr('0.0.0.0/0'),
      kind: 'unicast',
      gateway: ip('169.254.1.1'),
      linkIndex: 3,
      onlink: true,
      protocol: 3,
      metric: 5,
    }),
    `34000000 1800 0505 07000000 00000000  02 00 00 00 fe 03 00 01 04000000
     0800 0500 a9fe0101  0800 0400 03000000  0800 0600 05000000`,
  ],
  [
    'two ways, one of them three times as wide, one by an IPv6 gateway',
    encodeReplaceRoute({
      ...blackhole,
      kind: 'unicast',
      hops: [
        { gateway: ip('10.0.0.2'), linkIndex: 3, onlink: false, weight: 3 },
        { gateway: ip('fe80::2'), linkIndex: 4, onlink: true },
      ],
    }),
    `58000000 1800 0505 07000000 00000000  02 1a 00 00 fe 0c 00 01 00000000  0800 0100 c0a80700
     3400 0900  1000 00 02 03000000  0800 0500 0a000002
                2000 04 00 04000000  1600 1200 0a00 fe80000000000000 0000000000000002 0000`,
  ],
  [
    'a deletion: any scope (255)',
    encodeDeleteRoute({ ...blackhole, scope: 'link' }),
    `24000000 1900 0500 07000000 00000000  02 1a 00 00 fe 0c ff 06 00000000  0800 0100 c0a80700`,
  ],
  [
    'an IPv6 route on a link',
    encodeAddRoute({
      ...blackhole,
      destination: cidr('fd00::5/128'),
      kind: 'unicast',
      scope: 'link',
      linkIndex: 3,
    }),
    `38000000 1800 0506 07000000 00000000  0a 80 00 00 fe 0c fd 01 00000000
     1400 0100 fd00000000000000 0000000000000005  0800 0400 03000000`,
  ],
  [
    'an address',
    encodeAddAddress(ADDRESS),
    `28000000 1400 0506 07000000 00000000  02 20 00 00 03000000  0800 0200 c0a80705  0800 0100 c0a80705`,
  ],
  [
    'an address goes',
    encodeDeleteAddress(ADDRESS),
    `28000000 1500 0500 07000000 00000000  02 20 00 00 03000000  0800 0200 c0a80705  0800 0100 c0a80705`,
  ],
  [
    'a permanent neighbour',
    encodeSetNeighbour({ linkIndex: 3, ip: ip('169.254.1.1'), mac: mac('ee:ee:ee:ee:ee:ee') }),
    `30000000 1c00 0505 07000000 00000000  02 00 0000 03000000 8000 00 00
     0800 0100 a9fe0101  0a00 0200 eeeeeeeeeeee 0000`,
  ],
  [
    'a forwarding entry of a VXLAN device',
    encodeSetForwarding({ linkIndex: 3, mac: mac('66:00:00:00:00:01'), remote: ip('10.0.0.2') }),
    `30000000 1c00 0505 07000000 00000000  07 00 0000 03000000 8000 02 00
     0a00 0200 660000000001 0000  0800 0100 0a000002`,
  ],
  [
    'a VXLAN device',
    encodeVxlan({
      name: 'vxlan.calico',
      mac: mac('66:00:00:00:00:01'),
      mtu: 1450,
      vxlan: { vni: 4096, port: 4789, local: ip('10.0.0.1'), parentIndex: 2, learning: false },
    }),
    `84000000 1000 0506 07000000 00000000  00 00 0000 00000000 00000000 00000000
     1100 0300 76786c616e2e63616c69636f00 000000  0a00 0100 660000000001 0000  0800 0400 aa050000
     3c00 1200  0900 0100 76786c616e 000000
     2c00 0200  0800 0100 00100000  0800 0300 02000000  0800 0400 0a000001  0500 0700 00 000000
       0600 0f00 12b5 0000`,
  ],
  [
    'a link comes up with a MAC',
    encodeSetLink({ index: 3, up: true, mac: mac('ee:ee:ee:ee:ee:ee') }),
    `2c000000 1000 0500 07000000 00000000  00 00 0000 03000000 01000000 01000000
     0a00 0100 eeeeeeeeeeee 0000`,
  ],
  [
    'only the MTU of a link',
    encodeSetLink({ index: 3, mtu: 1440 }),
    `28000000 1000 0500 07000000 00000000  00 00 0000 03000000 00000000 00000000  0800 0400 a0050000`,
  ],
  [
    'a link goes',
    encodeDeleteLink('cali1'),
    `2c000000 1100 0500 07000000 00000000  00 00 0000 00000000 00000000 00000000
     0a00 0300 63616c693100 0000`,
  ],
  [
    'a link is asked for',
    encodeGetLink('cali1'),
    `34000000 1200 0100 07000000 00000000  00 00 0000 00000000 00000000 00000000
     0a00 0300 63616c693100 0000  0800 1d00 08000000`,
  ],
  [
    'a link joins a group and gets its IPv4 settings',
    encodeSetLink({ index: 5, group: 3, ipv4: { forwarding: true, proxyArp: true, rpFilter: 2 } }),
    `4c000000 1000 0500 07000000 00000000  00 00 0000 05000000 00000000 00000000
     0800 1b00 03000000
     2400 1a00  2000 0200  1c00 0100  0800 0100 01000000  0800 0300 01000000  0800 0800 02000000`,
  ],
  [
    'the links of a group go',
    encodeDeleteLinkGroup(3),
    `28000000 1100 0500 07000000 00000000  00 00 0000 00000000 00000000 00000000
     0800 1b00 03000000`,
  ],
  [
    'a veth pair, the peer in the namespace of descriptor 9',
    encodeVeth({
      name: 'c1',
      peer: 'eth0',
      peerNetnsFd: 9,
      mtu: 1440,
      peerMac: mac('02:00:00:00:00:01'),
    }),
    `9c000000 1000 0506 07000000 00000000  00 00 0000 00000000 00000000 00000000
     0700 0300 633100 00  0800 0400 a0050000  0800 1f00 01000000  0800 2000 01000000
     5c00 1200  0800 0100 76657468  5000 0200  4c00 0100
       00 00 0000 00000000 00000000 00000000
       0900 0300 6574683000 000000  0800 0400 a0050000  0800 1f00 01000000  0800 2000 01000000  0a00 0100 020000000001 0000  0800 1c00 09000000`,
  ],
];

for (const [what, encode, expected] of BYTES) {
  test(`netlink bytes: ${what}`, () => {
    assert.equal(bytesOf(encode).toString('hex'), hex(expected).toString('hex'));
  });
}

const family = fc.constantFrom<Family>(4, 6);
const ipOf = (of: Family) =>
  fc.uint8Array({ minLength: bitsOf(of) / 8, maxLength: bitsOf(of) / 8 }).map(ipFromBytes);
const anyMac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes);
const index = fc.integer({ min: 1, max: 0x7fff_ffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });

/** A gateway may be of another family than the route. */
const anyHop = fc.record(
  {
    gateway: family.chain(ipOf),
    linkIndex: index,
    onlink: fc.boolean(),
    weight: fc.integer({ min: 2, max: 256 }),
  },
  { requiredKeys: ['linkIndex', 'onlink'], noNullPrototype: true },
);

const anyRoute = family.chain((of): fc.Arbitrary<Route> => {
  const base = {
    destination: fc
      .tuple(ipOf(of), fc.integer({ min: 0, max: bitsOf(of) }))
      .map(([address, length]) => cidrOf(address, length)),
    protocol: fc.integer({ min: 0, max: 255 }),
    metric: u32,
    onlink: fc.boolean(),
  };
  const none = fc.constant('blackhole' as const);
  const some = fc.constant('unicast' as const);
  const link = fc.constant('link' as const);
  const global = fc.constant('global' as const);
  return fc.oneof(
    fc.record({ ...base, kind: none, scope: global }),
    fc.record({ ...base, kind: some, scope: link, linkIndex: index }),
    fc.record({ ...base, kind: some, scope: global, linkIndex: index, gateway: ipOf(of) }),
    fc.record({
      ...base,
      kind: some,
      scope: global,
      hops: fc.array(anyHop, { minLength: 2, maxLength: 9 }),
    }),
  );
});

test('routes: decode is the inverse of encode', () => {
  fc.assert(
    fc.property(anyRoute, (route) => {
      for (const encode of [encodeAddRoute, encodeReplaceRoute])
        assert.deepEqual(decodeRoute(messageOf(encode(route))), { ...route });
    }),
  );
});

test('addresses and neighbours: decode is the inverse of encode', () => {
  fc.assert(
    fc.property(family.chain(ipOf), index, anyMac, (address, linkIndex, hardware) => {
      const prefixLength = address.includes(':') ? 128 : 32;
      const added = encodeAddAddress({ linkIndex, ip: address, prefixLength });
      const expected = { linkIndex, ip: address, prefixLength, scope: 'global' };
      assert.deepEqual(decodeAddress(messageOf(added)), expected);
      const neighbour = { linkIndex, ip: address, mac: hardware };
      assert.deepEqual(decodeNeighbour(messageOf(encodeSetNeighbour(neighbour))), neighbour);
      const entry = { linkIndex, mac: hardware, remote: address };
      assert.deepEqual(decodeForwarding(messageOf(encodeSetForwarding(entry))), entry);
    }),
  );
});

test('links: what is set is what is read', () => {
  fc.assert(
    fc.property(index, fc.boolean(), anyMac, u32, (i, up, address, mtu) => {
      const read = decodeLink(messageOf(encodeSetLink({ index: i, up, mac: address, mtu })));
      const nameless = { name: '', kind: undefined, peerIndex: undefined };
      assert.deepEqual(read, { index: i, ...nameless, mac: address, mtu, up });
    }),
  );
});

test('links: a VXLAN device reads back as it is written', () => {
  fc.assert(
    fc.property(family.chain(ipOf), index, anyMac, fc.nat(65535), (local, parentIndex, m, port) => {
      const vxlan = { vni: port, port, local, parentIndex, learning: port % 2 === 1 };
      const link = decodeLink(messageOf(encodeVxlan({ name: 'v', mac: m, mtu: 1450, vxlan })));
      assert.deepEqual([link?.kind, link?.mac, link?.mtu, link?.vxlan], ['vxlan', m, 1450, vxlan]);
    }),
  );
});

test('links: name and kind of a new pair; a port that leaves a bridge is not a link that goes', () => {
  const pair = { name: 'cali1', peer: 'eth0', peerNetnsFd: 9, mtu: 1440 };
  const message = messageOf(encodeVeth(pair));
  const { name, kind, mtu } = decodeLink(message)!;
  assert.deepEqual([name, kind, mtu], ['cali1', 'veth', 1440]);
  message.body[0] = 7; // AF_BRIDGE
  assert.equal(decodeLink(message), undefined);
});

test('routes that are not ours to know: another table, cached, of another kind or family', () => {
  const changed = (at: number, value: number): unknown => {
    const message = messageOf(encodeAddRoute(blackhole));
    message.body[at] = value;
    return decodeRoute(message);
  };
  assert.ok(changed(4, 254));
  assert.equal(changed(4, 255), undefined); // local table
  assert.equal(changed(9, 2), undefined); // RTM_F_CLONED
  assert.equal(changed(7, 2), undefined); // RTN_LOCAL
  assert.equal(changed(0, 7), undefined);
});

test('acknowledgements: success, a refusal, the words of the kernel', () => {
  const header = '24000000 1800 0506 07000000 00000000';
  const ack = (flags: string, body: string): Message => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(16 + hex(body).length);
    const bytes = Buffer.concat([length, hex(`0200 ${flags} 07000000 00000000`), hex(body)]);
    return [...messagesIn(bytes)][0]!;
  };
  assert.deepEqual(ackOf(ack('0001', `00000000 ${header}`)), { errno: 0, text: '' });
  assert.deepEqual(ackOf(ack('0001', `efffffff ${header}`)), { errno: 17, text: '' });
  const words = Buffer.from('Nexthop has invalid gateway\0');
  const text = `${(words.length + 4).toString(16)}00 0100 ${words.toString('hex')}`;
  assert.deepEqual(ackOf(ack('0003', `9bffffff ${header} ${text}`)), {
    errno: 101,
    text: 'Nexthop has invalid gateway',
  });
});

test('one datagram holds several messages; what is cut short is left out', () => {
  const writer = new MessageWriter(512);
  encodeAddRoute(blackhole)(writer, 1);
  encodeDeleteLink('cali1')(writer, 2);
  const bytes = writer.finish();
  const sequences = (datagram: Buffer) => [...messagesIn(datagram)].map((m) => m.sequence);
  assert.deepEqual(sequences(bytes), [1, 2]);
  assert.deepEqual(sequences(bytes.subarray(0, bytes.length - 1)), [1]);
  assert.deepEqual(sequences(Buffer.alloc(64)), []);
});

test('any bytes: reading ends and stays within them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const total = [...attributesOf(Buffer.from(bytes))].reduce((n, [, v]) => n + v.length, 0);
      assert.ok(total <= bytes.length);
      for (const { body } of messagesIn(Buffer.from(bytes))) assert.ok(body.length < bytes.length);
    }),
  );
});

test('changes in words', () => {
  const words = (change: LinkChange): string => {
    assert.ok(bytesOf(encodeChange(change)).length > 16);
    return describeChange(change);
  };
  assert.equal(words({ kind: 'deleteRoute', route: blackhole }), 'delete route 192.168.7.0/26');
  assert.equal(words({ kind: 'addAddress', ...ADDRESS }), 'add address 192.168.7.5/32');
  assert.equal(words({ kind: 'setLink', index: 4, up: true }), 'set link 4');
});
