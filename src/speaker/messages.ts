// How many BGP messages of each type went by (RFC 4271 section 4.1, RFC 2918).
import type { MessageCounts } from '../bgp/status.ts';

/** In the order of their numbers, which begin at 1. */
export const MESSAGE_TYPES = ['open', 'update', 'notification', 'keepalive', 'refresh'] as const;

const HEADER = { octets: 19, lengthAt: 16, typeAt: 18 } as const;

export class MessageCounter {
  private readonly byType = MESSAGE_TYPES.map(() => 0);

  /** Whole messages, one after the other. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at + HEADER.octets <= bytes.length; ) {
      const type = bytes[at + HEADER.typeAt]! - 1;
      if (type < this.byType.length) this.byType[type]! += 1;
      at += Math.max(HEADER.octets, (bytes[at + HEADER.lengthAt]! << 8) | bytes[at + 17]!);
    }
  }

  get counts(): MessageCounts {
    const entries = MESSAGE_TYPES.map((type, i) => [type, this.byType[i]!]);
    return Object.fromEntries(entries) as MessageCounts;
  }
}
