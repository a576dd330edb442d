// The netlink sockets of one namespace. A piece of work has a socket of its own while it lasts; the
// sockets are kept.
import { type Outcome, type Request, Rtnetlink } from './rtnetlink.io.ts';

export class Sockets {
  private readonly open: () => number;
  private readonly idle: Rtnetlink[] = [];
  private readonly ports = new Set<number>();
  private closed = false;

  /** Opens the first at once: who has no such namespace learns it here. */
  constructor(open: () => number) {
    this.open = open;
    this.idle.push(new Rtnetlink(open()));
  }

  /** On the main thread; the socket is free again when `work` returns. */
  now<T>(work: (socket: Rtnetlink) => T): T {
    const socket = this.take();
    try {
      return work(socket);
    } finally {
      this.give(socket);
    }
  }

  /** Off the main thread, beside whatever else goes on. */
  async aside(requests: readonly Request[]): Promise<Outcome> {
    const socket = this.take();
    try {
      return await socket.applyAside(requests);
    } finally {
      this.give(socket);
    }
  }

  close(): void {
    this.closed = true;
    for (const socket of this.idle.splice(0)) socket.close();
  }

  private take(): Rtnetlink {
    return this.idle.pop() ?? new Rtnetlink(this.open());
  }

  /** Whether a change was made through one of these. */
  isOwn(port: number): boolean {
    return this.ports.has(port);
  }

  private give(socket: Rtnetlink): void {
    if (socket.port > 0) this.ports.add(socket.port);
    if (this.closed) socket.close();
    else this.idle.push(socket);
  }
}
