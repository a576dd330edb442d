// The sockets that peers connect to: one for each own address and port that is wanted.
import type { Socket } from 'node:net';
import type { Log } from '../base/log.io.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import { type GuardedPeer, Listener } from './transport.io.ts';

/** A peer that may connect. */
export interface ExpectedPeer extends GuardedPeer {
  /** The own address that it connects to; undefined: any. */
  readonly localAddress?: Ip | undefined;
}

interface Open {
  readonly address: Ip;
  listener: Listener;
  error: string | undefined;
}

export class Listeners {
  private readonly open = new Map<string, Open>();
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

  /** Listens on these addresses and on no others, for these peers. */
  reconcile(addresses: ReadonlySet<Ip>, port: number, peers: readonly ExpectedPeer[]): void {
    const wanted = new Set([...addresses].map((address) => `${address} ${port}`));
    for (const [key, { listener }] of this.open) {
      if (wanted.has(key)) continue;
      listener.close();
      this.open.delete(key);
    }
    for (const address of addresses) {
      const key = `${address} ${port}`;
      const guards = guardsOf(address, peers);
      const present = this.open.get(key);
      if (present) present.listener.setGuards(guards);
      else this.open.set(key, this.listen(address, port, guards));
    }
  }

  close(): void {
    for (const { listener } of this.open.values()) listener.close();
  }

  private listen(address: Ip, port: number, guards: readonly GuardedPeer[]): Open {
    const entry = { address, error: undefined } as Omit<Open, 'listener'> as Open;
    const state = (error: string | undefined): void => {
      entry.error = error;
      if (error) this.log.warn({ address, port, error }, 'cannot listen');
      else this.log.info({ address, port }, 'listening');
    };
    entry.listener = new Listener({ address, port, accepted: this.accept, state }, guards);
    return entry;
  }
}

const ANY: readonly Ip[] = ['0.0.0.0' as Ip, '::' as Ip];

const guardsOf = (address: Ip, peers: readonly ExpectedPeer[]): readonly GuardedPeer[] =>
  peers.filter(
    (peer) =>
      familyOf(peer.address) === familyOf(address) &&
      (peer.localAddress === undefined || peer.localAddress === address || ANY.includes(address)),
  );
