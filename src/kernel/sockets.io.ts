// The netlink sockets of one namespace. A piece of work has a socket of its own while it lasts; the
// sockets are kept. The kernel has one lock for links, addresses and routes of all namespaces: pieces that
// come together go to it as one, for threads that wait for each other's lock only take time.
import { type Outcome, type Request, Rtnetlink } from './rtnetlink.io.ts';

interface Piece {
  readonly requests: readonly Request[];
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (cause: unknown) => void;
}

export class Sockets {
  private readonly open: () => number;
  private readonly idle: Rtnetlink[] = [];
  private gathered: Piece[] = [];
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

  /** As `aside`, in one send with what else is asked for before the promises of this turn have run. */
  together(requests: readonly Request[]): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    if (this.gathered.push({ requests, resolve, reject }) === 1)
      process.nextTick(() => void this.sendGathered());
    return promise;
  }

  private async sendGathered(): Promise<void> {
    const pieces = this.gathered;
    this.gathered = [];
    try {
      const outcome = await this.aside(pieces.flatMap(({ requests }) => requests));
      let at = 0;
      for (const { requests, resolve } of pieces) {
        resolve(partOf(outcome, at, requests.length));
        at += requests.length;
      }
    } catch (cause) {
      for (const { reject } of pieces) reject(cause);
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

/** What is said of `count` requests from `first` on, by their own places. */
function partOf({ refused, answers }: Outcome, first: number, count: number): Outcome {
  const isOwn = (index: number): boolean => index >= first && index < first + count;
  return {
    refused: refused
      .filter(({ index }) => isOwn(index))
      .map(({ index, error }) => ({ index: index - first, error })),
    answers: new Map(
      [...answers].flatMap(([index, answer]) => (isOwn(index) ? [[index - first, answer]] : [])),
    ),
  };
}
