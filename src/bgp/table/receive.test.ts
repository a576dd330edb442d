// Single UPDATEs that once were taken wrongly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../../net/asn.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { splitUpdate } from '../codec/update-parts.ts';
import { PEER_DEFAULTS } from '../peers.ts';
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
