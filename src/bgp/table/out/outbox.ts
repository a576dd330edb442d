// Messages that are packed and wait to be handed to the sessions, one delivery at a time: to hundreds
// of peers that alone takes longer than a slice.
import type { Delivery } from './batch.ts';

interface Parcel {
  readonly deliveries: Iterator<Delivery>;
  /** Told of each delivery when it has left. */
  readonly sent: (peers: readonly number[]) => void;
}

export class Outbox {
  private readonly parcels: Parcel[] = [];
  private readonly send: (delivery: Delivery) => void;

  constructor(send: (delivery: Delivery) => void) {
    this.send = send;
  }

  get isEmpty(): boolean {
    return this.parcels.length === 0;
  }

  put(deliveries: Iterable<Delivery>, sent: Parcel['sent']): void {
    this.parcels.push({ deliveries: deliveries[Symbol.iterator](), sent });
  }

  /** Sends one delivery, the oldest; false: there is none. */
  sendOne(): boolean {
    for (;;) {
      const [parcel] = this.parcels;
      if (!parcel) return false;
      const { done, value } = parcel.deliveries.next();
      if (done) {
        this.parcels.shift();
        continue;
      }
      this.send(value);
      parcel.sent(value.peers);
      return true;
    }
  }

  /** Before sessions come or go: what was meant for the old ones must not reach the new ones. */
  empty(): void {
    while (this.sendOne());
  }
}
