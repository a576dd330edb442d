// IPv4 and IPv6 sessions side by side, as every dual-stack node has them: what one family is told must
// not depend on the other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../../net/asn.ts';
import { type Cidr, cidr } from '../../net/cidr.ts';
import { type Family, ip } from '../../net/ip.ts';
import { decodeMessage } from '../codec/message.ts';
import { PEER_DEFAULTS } from '../peers.ts';
import { Table } from './table.ts';

const ASN = 64512 as Asn;
const BLOCKS = { 4: cidr('192.168.1.0/26'), 6: cidr('fd00:10::/122') } as const;
const ADDRESSES = {
  4: { ours: ip('10.0.0.9'), theirs: ip('10.0.0.1') },
  6: { ours: ip('fd00::9'), theirs: ip('fd00::1') },
} as const;

/** A table and what each peer has heard from it, by family. */
function tableWith() {
  const heard: Record<string, string[]> = {};
  const table = new Table({
    hasRoom: () => true,
    send: (keys, messages) => {
      for (const key of keys)
        for (const message of messages) {
          const decoded = decodeMessage(message, { fourOctetAs: true, external: false });
          const said = decoded.ok && decoded.value.kind === 'update' ? decoded.value : undefined;
          const words = said
            ? said.announced.map(({ prefixes, nextHop }) => `${prefixes.join()} by ${nextHop}`)
            : ['unreadable'];
          heard[key] = [...(heard[key] ?? []), ...words];
        }
    },
  });
  const up = (family: Family): void => {
    const { ours, theirs } = ADDRESSES[family];
    const policy = { ...PEER_DEFAULTS, address: theirs, asn: ASN, localAsn: ASN };
    table.peerUp(`peer${family}`, policy, ours, {
      families: [family],
      fourOctetAs: true,
      extendedMessage: false,
      extendedNextHop: false,
      addPathReceive: [],
      addPathSend: [],
      peerRouterId: ip('10.0.0.1'),
    });
  };
  const work = (): void => {
    while (table.work(1000, () => 0) === 'busy');
  };
  return { table, heard, up, work };
}

const own = (prefix: Cidr) => ({ prefix, source: 'block' as const });

for (const order of [
  [4, 6],
  [6, 4],
] as const)
  test(`own blocks of both families, IPv${order[0]} up first: each peer hears its own`, () => {
    const { table, heard, up, work } = tableWith();
    table.setOwn([own(BLOCKS[4]), own(BLOCKS[6])]);
    for (const family of order) {
      up(family);
      work();
    }
    assert.deepEqual(heard, {
      peer4: [`${BLOCKS[4]} by ${ADDRESSES[4].ours}`],
      peer6: [`${BLOCKS[6]} by ${ADDRESSES[6].ours}`],
    });
  });

test('an IPv6 peer in the place of an IPv4 one', () => {
  const { table, heard, up, work } = tableWith();
  table.setOwn([own(BLOCKS[4]), own(BLOCKS[6])]);
  up(4);
  work();
  table.removePeer('peer4');
  work();
  up(6);
  work();
  assert.deepEqual(heard['peer6'], [`${BLOCKS[6]} by ${ADDRESSES[6].ours}`]);
});
