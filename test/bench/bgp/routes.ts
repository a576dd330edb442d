// The prefixes of a feeder, as UPDATEs encoded beforehand.
import { encodeAttributes } from '../../../src/bgp/codec/attributes.ts';
import type { Asn } from '../../../src/net/asn.ts';
import { ip } from '../../../src/net/ip.ts';
import type { FeederPeer } from './feeder.ts';

/** The network bits of a prefix of 24 bits by its number. */
export const networkBits = (index: number): number => 0x140000 + index;

const PREFIXES_OF_UPDATE = 500;

/** All that a peer says: prefixes of 24 bits, with attributes that are its own. */
export function updatesOf({ address, asn, first, count }: FeederPeer, deviceAsn: number): Buffer {
  const external = asn !== deviceAsn;
  const attributes = Buffer.from(
    encodeAttributes(
      {
        origin: 'igp',
        asPath: external ? [{ kind: 'sequence', asns: [asn as Asn] }] : [],
        ...(external ? {} : { localPref: 100 }),
      },
      ip(address),
      true,
    ),
  );
  const messages: Buffer[] = [];
  for (let at = first; at < first + count; at += PREFIXES_OF_UPDATE) {
    const end = Math.min(first + count, at + PREFIXES_OF_UPDATE);
    const message = Buffer.alloc(23 + attributes.length + (end - at) * 4, 255);
    message.writeUInt16BE(message.length, 16);
    message.set([2, 0, 0, attributes.length >> 8, attributes.length & 255], 18);
    message.set(attributes, 23);
    for (let i = at; i < end; i++) {
      const here = 23 + attributes.length + (i - at) * 4;
      message[here] = 24;
      message.writeUIntBE(networkBits(i), here + 1, 3);
    }
    messages.push(message);
  }
  return Buffer.concat(messages);
}
