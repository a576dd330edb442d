// The prefixes of a feeder, as UPDATEs encoded beforehand.
import { encodeAttributes } from '../../../src/bgp/codec/attributes.ts';
import type { Asn } from '../../../src/net/asn.ts';
import { ip } from '../../../src/net/ip.ts';
import type { FeederPeer } from './feeder.ts';

/** The network bits of a prefix of 24 bits by its number. */
export const networkBits = (index: number): number => 0x140000 + index;

const PREFIXES_OF_UPDATE = 500;

/** The end of all that a peer says. */
export function withdrawalsOf({ first, count }: FeederPeer): Buffer {
  const messages: Buffer[] = [];
  for (let at = first; at < first + count; at += PREFIXES_OF_UPDATE) {
    const end = Math.min(first + count, at + PREFIXES_OF_UPDATE);
    const message = Buffer.alloc(23 + (end - at) * 4, 255);
    message.writeUInt16BE(message.length, 16);
    message[18] = 2;
    message.writeUInt16BE((end - at) * 4, 19);
    writePrefixes(message, 21, at, end);
    message.writeUInt16BE(0, message.length - 2);
    messages.push(message);
  }
  return Buffer.concat(messages);
}

function writePrefixes(message: Buffer, start: number, from: number, end: number): void {
  for (let i = from; i < end; i++) {
    const here = start + (i - from) * 4;
    message[here] = 24;
    message.writeUIntBE(networkBits(i), here + 1, 3);
  }
}

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
    writePrefixes(message, 23 + attributes.length, at, end);
    messages.push(message);
  }
  return Buffer.concat(messages);
}
