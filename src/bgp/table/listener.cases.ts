// A peer's ear for tests: takes the messages apart and remembers what it was told.
import assert from 'node:assert/strict';
import { type Cidr, cidrOf, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bytesOfIp, ipFromBytes } from '../../net/ip.ts';
import { encodeAttributes } from '../codec/attributes.ts';
import { decodeMessage, decodeSessionMessage, takeMessage } from '../codec/message.ts';
import { u16, u32 } from '../codec/reader.ts';

export class Listener {
  readonly routes = new Map<string, string>();
  endsOfRib = 0;
  /** What it heard, in order: prefixes and marks. */
  readonly heard: string[] = [];
  messages = 0;
  private readonly addPath: boolean;
  private readonly external: boolean;

  constructor({ addPath, external }: { readonly addPath: boolean; readonly external: boolean }) {
    this.addPath = addPath;
    this.external = external;
  }

  hear(buffers: readonly Uint8Array[]): void {
    for (const buffer of buffers)
      for (let rest = buffer; rest.length > 0; ) {
        const taken = takeMessage(rest);
        assert(taken.ok && taken.value, 'whole messages');
        this.take(taken.value);
        rest = rest.subarray(taken.value.length);
      }
  }

  private take(message: Uint8Array): void {
    this.messages += 1;
    const session = message[18] === 5 ? decodeSessionMessage(message) : undefined;
    if (session) {
      assert(session.ok && session.value.kind === 'routeRefresh', 'a mark');
      this.heard.push(`${session.value.subtype} ${session.value.family}`);
      return;
    }
    const plain = this.addPath ? withoutPathIds(message) : [{ message, pathId: 0 }];
    for (const part of plain) {
      const decoded = decodeMessage(part.message, { fourOctetAs: true, external: this.external });
      assert(decoded.ok && decoded.value.kind === 'update', 'an UPDATE');
      const { withdrawn, announced, attributes, endOfRib, faults = [] } = decoded.value;
      assert.deepEqual(faults, []);
      if (endOfRib) this.endsOfRib += 1;
      this.heard.push(
        ...withdrawn.map((prefix) => `-${prefix}`),
        ...announced.flatMap(({ prefixes }) => prefixes),
        ...(endOfRib ? ['end of RIB'] : []),
      );
      for (const prefix of withdrawn) this.routes.delete(`${prefix} ${part.pathId}`);
      for (const { nextHop, prefixes } of announced)
        for (const prefix of prefixes) {
          const words = `${nextHop} ${encodeAttributes(attributes!, undefined, true)}`;
          this.routes.set(`${prefix} ${part.pathId}`, `${prefix} ${words}`);
        }
    }
  }
}

/** What it knows, sorted. */
export const heard = ({ routes }: Listener): readonly string[] => [...routes.values()].sort();

/** One message of a single prefix and path each, for a decoder that knows no path identifiers. */
function withoutPathIds(message: Uint8Array): { message: Uint8Array; pathId: number }[] {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const withdrawnLength = view.getUint16(19);
  const attributesAt = 21 + withdrawnLength;
  const attributesEnd = attributesAt + 2 + view.getUint16(attributesAt);
  const attributes = message.subarray(attributesAt + 2, attributesEnd);
  const cut = (from: number, to: number) => {
    const found: { pathId: number; nlri: Uint8Array }[] = [];
    for (let at = from; at < to; ) {
      const end = at + 5 + Math.ceil(message[at + 4]! / 8);
      found.push({ pathId: view.getUint32(at), nlri: message.subarray(at + 4, end) });
      at = end;
    }
    return found;
  };
  const whole = (withdrawn: Uint8Array, words: Uint8Array, nlri: Uint8Array) => {
    const body = [...u16(withdrawn.length), ...withdrawn, ...u16(words.length), ...words, ...nlri];
    return Uint8Array.from([...message.subarray(0, 16), ...u16(19 + body.length), 2, ...body]);
  };
  const none = new Uint8Array();
  const gone = cut(21, attributesAt);
  const come = cut(attributesEnd, message.length);
  if (gone.length + come.length === 0) return [{ message, pathId: 0 }];
  return [
    ...gone.map(({ pathId, nlri }) => ({ pathId, message: whole(nlri, none, none) })),
    ...come.map(({ pathId, nlri }) => ({ pathId, message: whole(none, attributes, nlri) })),
  ];
}

const nlriOf = (prefixes: readonly Cidr[], pathId: number | undefined): number[] =>
  prefixes.flatMap((prefix) => {
    const length = prefixLengthOf(prefix);
    const octets = bytesOfIp(networkOf(prefix)).subarray(0, Math.ceil(length / 8));
    return [...(pathId === undefined ? [] : u32(pathId)), length, ...octets];
  });

/** Bodies of UPDATEs about IPv4 prefixes. */
export const announcement = (
  prefixes: readonly Cidr[],
  attributes: readonly number[],
  pathId?: number,
): Uint8Array =>
  Uint8Array.from([0, 0, ...u16(attributes.length), ...attributes, ...nlriOf(prefixes, pathId)]);

export function withdrawal(prefixes: readonly Cidr[], pathId?: number): Uint8Array {
  const nlri = nlriOf(prefixes, pathId);
  return Uint8Array.from([...u16(nlri.length), ...nlri, 0, 0]);
}

/** The prefixes `10.0.0.0/24`, `10.0.1.0/24` and so on. */
export const manyPrefixes = (count: number): readonly Cidr[] =>
  Array.from({ length: count }, (_, i) =>
    cidrOf(ipFromBytes(Uint8Array.from(u32(0x0a000000 + i * 256))), 24),
  );
