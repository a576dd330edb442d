// Which addresses the host's interfaces have, for host endpoints that name an address instead of an
// interface. The kernel is listened to only when there is such a one: every pod would wake us.
import { setImmediate } from 'node:timers/promises';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Ip } from '../../net/ip.ts';

type Addresses = ReadonlyMap<string, readonly Ip[]>;

export class HostAddresses {
  private readonly kernel: Kernel;
  private readonly tell: (addresses: Addresses) => void;
  private readonly log: Log;
  private readonly signal: AbortSignal;
  private following = false;
  private waiting = false;

  constructor(kernel: Kernel, tell: (addresses: Addresses) => void, log: Log, signal: AbortSignal) {
    this.kernel = kernel;
    this.tell = tell;
    this.log = log;
    this.signal = signal;
  }

  /** From now on they are told, at once and whenever they change. */
  follow(): void {
    if (this.following) return;
    this.following = true;
    this.kernel.subscribe((event) => {
      const own = event.kind === 'address' && event.address.scope !== 'link';
      if (own || event.kind === 'lost') void this.readSoon();
    }, this.signal);
    this.read();
  }

  // What changes together is read once.
  private async readSoon(): Promise<void> {
    if (this.waiting) return;
    this.waiting = true;
    await setImmediate();
    this.waiting = false;
    if (!this.signal.aborted) this.read();
  }

  /** Tells them as they are now. */
  read(): void {
    try {
      this.tell(addressesOf(this.kernel));
    } catch (cause) {
      this.log.warn({ cause: messageOf(cause) }, 'the addresses of this host could not be read');
    }
  }
}

function addressesOf(kernel: Kernel): Addresses {
  const names = new Map(kernel.links().map(({ index, name }) => [index, name]));
  const byName = new Map<string, Ip[]>();
  for (const { linkIndex, ip } of kernel.addresses()) {
    const name = names.get(linkIndex);
    if (name) byName.set(name, [...(byName.get(name) ?? []), ip]);
  }
  return byName;
}
