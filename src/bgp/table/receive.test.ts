// Single UPDATEs that once were taken wrongly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../../net/asn.ts';
import { cidr, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bytesOfIp, ip } from '../../net/ip.ts';
import { splitUpdate } from '../codec/update-parts.ts';
import { PEER_DEFAULTS } from '../peers.ts';
import { tableOfNeighbours } from './neighbour.cases.ts';
import { Table } from './table.ts';

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
const ATTRIBUTES = '0015 400101 00 400200 400304 0a000001 400504 00000064';
const NLRI = '1a c0a80140';

test('an UPDATE that withdraws and announces with attributes that nobody else uses', () => {
  const table = new Table({ send: () => undefined, hasRoom: () => true });
  const asn = 64512 as Asn;
  const policy = { ...PEER_DEFAULTS, address: ip('10.0.0.1'), asn, localAsn: asn };
  table.peerUp('peer', policy, ip('10.0.0.9'), {
    families: [4],
    fourOctetAs: true,
    extendedMessage: false,
    extendedNextHop: false,
    addPathReceive: [],
    addPathSend: [],
    peerRouterId: ip('10.0.0.1'),
  });
  assert.deepEqual(table.receive('peer', bytes(`0000 ${ATTRIBUTES} ${NLRI}`)), {});
  assert.deepEqual(table.receive('peer', bytes(`0005 ${NLRI} ${ATTRIBUTES} ${NLRI}`)), {});
  assert.equal(table.countOf('peer'), 1);
  assert.equal(table.why(cidr('192.168.1.64/26')).length, 1);
});

test('End-of-RIB: an empty UPDATE or an empty MP_UNREACH_NLRI, and nothing beside it', () => {
  const mark = (hex: string) => {
    const split = splitUpdate(bytes(hex));
    return split.ok && split.value.endOfRib;
  };
  assert.equal(mark('0000 0000'), 4);
  assert.equal(mark('0000 0006 800f03 000201'), 6);
  assert.equal(mark('0000 0007 900f0003 000201'), 6);
  assert.equal(mark('0000 0006 800f03 000201 00'), undefined);
  assert.equal(mark('0001 00 0006 800f03 000201'), undefined);
});

const refusalOf = ({ table }: ReturnType<typeof tableOfNeighbours>, prefix: string) =>
  table.why(cidr(prefix))[0]?.refusal;

test('our own AS in a path is a loop inside the AS too (RFC 4271 section 9.1.2)', () => {
  const n = tableOfNeighbours();
  n.up('1');
  n.up('2', {}, { allowLocalAsns: 1 });
  const asPath = [{ kind: 'sequence' as const, asns: [65001, 64512] as Asn[] }];
  n.tell('1', { localPref: 100, asPath }, '192.168.1.0/26');
  assert.deepEqual(n.hops('192.168.1.0/26'), []);
  assert.equal(refusalOf(n, '192.168.1.0/26'), 'own AS in AS_PATH');
  n.tell('2', { localPref: 100, asPath }, '192.168.1.0/26');
  assert.deepEqual(n.hops('192.168.1.0/26'), ['10.0.0.2']);
});

test('prefixes of no host are ignored, those beside them are not (RFC 4271 section 6.3)', () => {
  const n = tableOfNeighbours();
  n.up('1');
  const nobodys = [
    '127.0.0.0/8',
    '127.0.0.1/32',
    '169.254.0.0/16',
    '169.254.1.1/32',
    '224.0.0.0/4',
  ];
  nobodys.push('239.1.2.3/32', '0.0.0.0/8', '0.1.0.0/16', '255.255.255.255/32');
  const others = ['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1', '192.0.0.0/2', '126.0.0.0/7'];
  others.push('169.254.0.0/15', '169.255.0.0/16', '240.0.0.0/4', '255.255.255.254/32');
  n.say('1', ...nobodys, ...others);
  assert.equal(n.learned(), others.toSorted().join(' '));
  for (const prefix of nobodys)
    assert.equal(refusalOf(n, prefix), 'loopback, link-local or multicast', prefix);
  // Looked at again they are the same.
  n.table.setIdentity({ asn: 64512 as Asn, routerId: ip('10.0.0.99'), addresses: [] });
  n.work();
  assert.equal(n.learned(), others.toSorted().join(' '));
  n.say('1', '10.0.0.0/8');
  assert.deepEqual(n.hops('10.0.0.0/8'), ['10.0.0.1'], 'what comes later is as it was');
});

test('so are they of IPv6', () => {
  const n = tableOfNeighbours();
  n.up('1', { families: [6] });
  const says = (hops: string, ...prefixes: string[]) => {
    const nlri = prefixes.map((prefix) => prefixOctets(prefix)).join('');
    const value = `0002 01 10 ${hops} 00 ${nlri}`.replace(/\s/g, '');
    const octets = (hex: string, n: number) => (hex.length / 2).toString(16).padStart(n * 2, '0');
    const all = `40010100 400200 40050400000064 900e${octets(value, 2)}${value}`.replace(/\s/g, '');
    n.table.receive('1', bytes(`0000 ${octets(all, 2)} ${all}`));
    n.work();
  };
  const prefixOctets = (prefix: string): string => {
    const one = cidr(prefix);
    const length = prefixLengthOf(one);
    const octets = bytesOfIp(networkOf(one)).subarray(0, Math.ceil(length / 8));
    return length.toString(16).padStart(2, '0') + Buffer.from(octets).toString('hex');
  };
  const others = ['::/0', '::/64', 'fc00::/7', 'fd00::1/128', 'fec0::/10', 'fe00::/8'];
  const nobodys = ['::1/128', '::/128', '::/96', '::ffff:a00:0/104', 'fe80::/10', 'fe80::1/128'];
  says(`fd00${'0'.repeat(27)}1`, ...others, ...nobodys, 'ff00::/8', 'ff02::1/128');
  assert.equal(n.learned(), others.toSorted().join(' '));
});

test('an IPv6 next hop of IPv4 prefixes counts as withdrawal where it was not agreed (RFC 8950)', () => {
  for (const extendedNextHop of [false, true]) {
    const n = tableOfNeighbours();
    n.up('1', { extendedNextHop });
    n.say('1', '192.168.1.64/26');
    const reach = `800e1a 0001 01 10 fd00${'0'.repeat(27)}1 00 ${NLRI}`;
    const all = `40010100 400200 40050400000064 ${reach}`.replace(/\s/g, '');
    const length = (all.length / 2).toString(16).padStart(4, '0');
    const { faults, reset } = n.table.receive('1', bytes(`0000 ${length} ${all}`));
    n.work();
    assert.equal(reset, undefined);
    assert.equal(faults === undefined, extendedNextHop);
    assert.deepEqual(n.hops('192.168.1.64/26'), extendedNextHop ? ['fd00::1'] : []);
  }
});

test('next hops of class E are hosts', () => {
  const n = tableOfNeighbours();
  n.up('1');
  n.tellVia('1', ip('240.0.0.1'), { localPref: 100 }, '192.168.1.0/26');
  assert.deepEqual(n.hops('192.168.1.0/26'), ['240.0.0.1']);
  n.tellVia('1', ip('255.255.255.255'), { localPref: 100 }, '192.168.1.0/26');
  assert.deepEqual(n.hops('192.168.1.0/26'), []);
});
