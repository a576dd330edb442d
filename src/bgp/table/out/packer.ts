// UPDATE messages with as many prefixes as fit, written one behind the other into a growing buffer.
// MP_REACH_NLRI and MP_UNREACH_NLRI come first among the attributes (RFC 7606 section 5.1).
import { FLAG, TYPE } from '../../codec/attributes.ts';
import { AFI_OF, SAFI_UNICAST } from '../../codec/families.ts';
import { HEADER_OCTETS, MESSAGE_OCTETS_MAX } from '../../codec/message.ts';
import type { Prefixes } from '../routes/prefixes.ts';
import type { Told } from './told.ts';

const UPDATE = 2;
const EXTENDED_MESSAGE_OCTETS_MAX = 65535;
/** Flags, type, length (2), AFI (2), SAFI, next hop length, reserved. */
const REACH_OCTETS = 9;
/** Path identifier, length octet, IPv6 address. */
const PREFIX_OCTETS_MAX = 21;

export interface PackOptions {
  readonly extendedMessage: boolean;
  readonly addPath: boolean;
}

export const messageOctetsMax = ({ extendedMessage }: PackOptions): number =>
  extendedMessage ? EXTENDED_MESSAGE_OCTETS_MAX : MESSAGE_OCTETS_MAX;

/** Whether attributes leave room for a prefix in a message; what does not cannot be told. */
export const fits = (told: Told, options: PackOptions): boolean =>
  HEADER_OCTETS + 4 + REACH_OCTETS + 16 + told.octets.length + PREFIX_OCTETS_MAX <=
  messageOctetsMax(options);

export class Packer {
  private readonly prefixes: Prefixes;
  private readonly options: PackOptions;
  private buffer = Buffer.allocUnsafe(4096);
  private at = 0;

  constructor(prefixes: Prefixes, options: PackOptions) {
    this.prefixes = prefixes;
    this.options = options;
  }

  /** Octets written since the last `take`. */
  get length(): number {
    return this.at;
  }

  /** What was written; the packer starts anew. */
  take(): Buffer {
    const taken = this.buffer.subarray(0, this.at);
    this.buffer = Buffer.allocUnsafe(4096);
    this.at = 0;
    return taken;
  }

  /** `pathIds`: beside the prefixes, with add-path. */
  announce(told: Told, prefixes: readonly number[], pathIds?: readonly number[]): void {
    const { octets, mpNextHop } = told;
    for (let i = 0; i < prefixes.length; ) {
      const start = this.begin();
      this.u16(0);
      if (mpNextHop) {
        const room = start + messageOctetsMax(this.options) - octets.length;
        const attributes = this.skip(2);
        const value = this.mpHead(TYPE.mpReach);
        this.buffer[this.at++] = mpNextHop.length;
        this.bytes(mpNextHop);
        this.buffer[this.at++] = 0;
        i = this.nlri(prefixes, pathIds, i, room);
        this.lengthAt(value - 2, this.at - value);
        this.bytes(octets);
        this.lengthAt(attributes, this.at - attributes - 2);
      } else {
        this.u16(octets.length);
        this.bytes(octets);
        i = this.nlri(prefixes, pathIds, i, start + messageOctetsMax(this.options));
      }
      this.end(start);
    }
  }

  withdraw(prefixes: readonly number[], pathIds?: readonly number[]): void {
    for (let i = 0; i < prefixes.length; ) {
      const start = this.begin();
      const room = start + messageOctetsMax(this.options);
      if (this.prefixes.family === 4) {
        const length = this.skip(2);
        i = this.nlri(prefixes, pathIds, i, room - 2);
        this.lengthAt(length, this.at - length - 2);
        this.u16(0);
      } else {
        this.u16(0);
        const attributes = this.skip(2);
        const value = this.mpHead(TYPE.mpUnreach);
        i = this.nlri(prefixes, pathIds, i, room);
        this.lengthAt(value - 2, this.at - value);
        this.lengthAt(attributes, this.at - attributes - 2);
      }
      this.end(start);
    }
  }

  private begin(): number {
    const start = this.at;
    this.reserve(messageOctetsMax(this.options));
    this.buffer.fill(255, start, start + 16);
    this.buffer[start + 18] = UPDATE;
    this.at = start + HEADER_OCTETS;
    return start;
  }

  private end(start: number): void {
    this.lengthAt(start + 16, this.at - start);
  }

  /** Header of an MP attribute with AFI and SAFI; answers where its value begins. */
  private mpHead(type: number): number {
    this.buffer[this.at++] = FLAG.optional | FLAG.extended;
    this.buffer[this.at++] = type;
    this.at += 2;
    const value = this.at;
    this.u16(AFI_OF[this.prefixes.family]);
    this.buffer[this.at++] = SAFI_UNICAST;
    return value;
  }

  /** Writes prefixes from `from` on up to `room`; answers the first that is left. */
  private nlri(
    prefixes: readonly number[],
    pathIds: readonly number[] | undefined,
    from: number,
    room: number,
  ): number {
    let i = from;
    for (; i < prefixes.length; i++) {
      const prefix = prefixes[i]!;
      const octets = this.prefixes.octets(prefix) + (pathIds ? 4 : 0);
      if (this.at + octets > room) break;
      if (pathIds) {
        this.buffer.writeUInt32BE(pathIds[i]!, this.at);
        this.at += 4;
      }
      this.at = this.prefixes.write(prefix, this.buffer, this.at);
    }
    return i;
  }

  private reserve(octets: number): void {
    if (this.at + octets <= this.buffer.length) return;
    const wider = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + octets));
    this.buffer.copy(wider, 0, 0, this.at);
    this.buffer = wider;
  }

  private skip(octets: number): number {
    this.at += octets;
    return this.at - octets;
  }

  private bytes(octets: Uint8Array): void {
    this.buffer.set(octets, this.at);
    this.at += octets.length;
  }

  private u16(value: number): void {
    this.lengthAt(this.at, value);
    this.at += 2;
  }

  private lengthAt(at: number, value: number): void {
    this.buffer[at] = value >>> 8;
    this.buffer[at + 1] = value & 255;
  }
}
