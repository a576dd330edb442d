// The sockets that peers connect to: one for each own address and port that is wanted.
import type { Socket } from 'node:net';
import type { Log } from '../base/log.io.ts';
import type { Ip } from '../net/ip.ts';
import { listen } from './transport.io.ts';

export class Listeners {
  private readonly open = new Map<string, { stop: () => void; error: string | undefined }>();
  private readonly log: Log;
  private readonly accept: (socket: Socket, peer: Ip) => void;

  constructor(log: Log, accept: (socket: Socket, peer: Ip) => void) {
    this.log = log;
    this.accept = accept;
  }

  /** Why peers cannot connect. */
  get errors(): readonly string[] {
    return [...this.open.values()].flatMap(({ error }) => error ?? []);
  }

  /** Listens on these addresses and on no others. */
  reconcile(addresses: ReadonlySet<Ip>, port: number): void {
    const wanted = new Set([...addresses].map((address) => `${address} ${port}`));
    for (const [key, { stop }] of this.open) {
      if (wanted.has(key)) continue;
      stop();
      this.open.delete(key);
    }
    for (const address of addresses) {
      const key = `${address} ${port}`;
      if (this.open.has(key)) continue;
      const entry = { stop: () => {}, error: undefined as string | undefined };
      this.open.set(key, entry);
      entry.stop = listen(address, port, this.accept, (error) => {
        entry.error = error;
        if (error) this.log.warn({ address, port, error }, 'cannot listen');
        else this.log.info({ address, port }, 'listening');
      });
    }
  }

  close(): void {
    for (const { stop } of this.open.values()) stop();
  }
}
