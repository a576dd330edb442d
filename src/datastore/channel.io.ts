// gRPC calls to the first of several endpoints that answers: one connection at a time, made by the
// first call that needs it. A member that cannot serve, or falls silent, is left for the next one.
import { messageOf } from '../base/op-error.ts';
import { type Address, type Connection, connect, type Tls } from './connection.io.ts';
import { encodeHeaders } from './http2/hpack.ts';
import { STATUS, type Status, type StreamListener } from './http2/stream.ts';

/** Time after which a call counts as failed; the server hears of it too. */
const DEADLINE_MILLISECONDS = 5000;
/** Of a call that servers send back without having looked at it. */
const TRIES_MAX = 4;

export interface Channel {
  /**
   * One message each way; with a connection it leaves before this returns. Rejects with the reason:
   * what was sent may have been done. Within 5 s, or the time given, in milliseconds.
   */
  call(path: string, message: Uint8Array, milliseconds?: number): Promise<Buffer>;
  /** With a message it is the only one that is sent. */
  stream(path: string, listener: StreamListener, only?: Uint8Array): OpenStream;
  close(): void;
}

export interface OpenStream {
  send(message: Uint8Array): void;
  /** The listener hears nothing more. */
  cancel(): void;
}

/** `tls` is asked for each connection. `first`: which address is tried first; by chance, so that the clients of a cluster spread. */
export function openChannel(
  addresses: readonly Address[],
  tls: () => Tls,
  first = Math.floor(Math.random() * addresses.length),
): Channel {
  return new EtcdChannel(addresses, tls, first);
}

class EtcdChannel implements Channel {
  private readonly addresses: readonly Address[];
  private readonly tls: () => Tls;
  private readonly headers = new Map<string, Buffer>();
  private readonly connections = new Set<Connection>();
  private current: Connection | undefined;
  private connecting: Promise<Connection> | undefined;
  /** Which address is tried first, counted on. */
  private preferred: number;
  private closed = false;

  constructor(addresses: readonly Address[], tls: () => Tls, first: number) {
    this.preferred = first;
    this.addresses = addresses;
    this.tls = tls;
  }

  call(path: string, message: Uint8Array, milliseconds = DEADLINE_MILLISECONDS): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    let stop = (): void => {};
    let isLate = false;
    let reply: Buffer | undefined;
    const timer = setTimeout(() => {
      isLate = true;
      reject(new Error(`no answer within ${milliseconds} ms`));
      stop();
    }, milliseconds);
    let triesLeft = TRIES_MAX;
    const end = ({ code, message: why, isUntouched }: Status): void => {
      if (isUntouched && !isLate && --triesLeft > 0) {
        this.withConnection(begin, end);
        return;
      }
      clearTimeout(timer);
      if (code === STATUS.OK && reply) resolve(reply);
      else reject(new Error(why || `status ${code} without a message`));
    };
    const begin = (connection: Connection): void => {
      if (isLate) return;
      const listener: StreamListener = {
        message: (bytes) => {
          reply = bytes;
        },
        end: (status) => {
          if (status.code === STATUS.UNAVAILABLE && !status.isUntouched) this.leave(connection);
          end(status);
        },
      };
      const stream = connection.session.open(this.headersOf(path, milliseconds), listener, message);
      stop = () => {
        connection.session.cancel(stream);
        this.leave(connection);
      };
    };
    this.withConnection(begin, end);
    return promise;
  }

  stream(path: string, listener: StreamListener, only?: Uint8Array): OpenStream {
    const waiting: Uint8Array[] = [];
    let isCancelled = false;
    let open: OpenStream = { send: (message) => void waiting.push(message), cancel() {} };
    const begin = ({ session }: Connection): void => {
      if (isCancelled) return;
      const stream = session.open(this.headersOf(path), listener, only);
      open = {
        send: (message) => session.send(stream, message),
        cancel: () => session.cancel(stream),
      };
      for (const message of waiting) session.send(stream, message);
    };
    this.withConnection(begin, (status) => {
      if (!isCancelled) listener.end(status);
    });
    return {
      send: (message) => open.send(message),
      cancel: () => {
        isCancelled = true;
        open.cancel();
      },
    };
  }

  close(): void {
    this.closed = true;
    for (const connection of this.connections) connection.close('it is closed');
  }

  // At once, when there is one.
  private withConnection(
    use: (connection: Connection) => void,
    refuse: (status: Status) => void,
  ): void {
    const begin = (connection: Connection): void => {
      if (connection.session.isOpen) use(connection);
      else refuse({ code: STATUS.UNAVAILABLE, message: 'the connection ended at once' });
    };
    if (this.current?.session.isOpen) use(this.current);
    else
      this.connect().then(begin, (cause: unknown) =>
        refuse({ code: STATUS.UNAVAILABLE, message: messageOf(cause) }),
      );
  }

  private connect(): Promise<Connection> {
    this.connecting ??= this.connectToAny().finally(() => {
      this.connecting = undefined;
    });
    return this.connecting;
  }

  private async connectToAny(): Promise<Connection> {
    const problems: string[] = [];
    while (problems.length < this.addresses.length && !this.closed) {
      const address = this.addresses[this.preferred % this.addresses.length]!;
      try {
        const connection = await connect(address, this.tls(), () => this.forget(connection));
        this.connections.add(connection);
        if (this.closed) connection.close('it is closed');
        this.current = connection;
        return connection;
      } catch (cause) {
        problems.push(messageOf(cause));
        this.preferred++;
      }
    }
    throw new Error(problems.length > 0 ? problems.join('; ') : 'it is closed');
  }

  private forget(connection: Connection): void {
    this.connections.delete(connection);
    if (this.current === connection) this.current = undefined;
  }

  // It may be cut off from the others: they are asked from now on, and what waits for it does so only
  // as long as a call may.
  private leave(connection: Connection): void {
    if (this.addresses.length === 1 || this.current !== connection) return;
    this.current = undefined;
    this.preferred++;
    const close = (): void => connection.close('another member is asked');
    setTimeout(close, DEADLINE_MILLISECONDS).unref();
  }

  /** `milliseconds`: when the server may give up; always the same for a path. */
  private headersOf(path: string, milliseconds?: number): Buffer {
    const known = this.headers.get(path);
    if (known) return known;
    const { isSecure, host, port } = this.addresses[0]!;
    const made = encodeHeaders([
      [':method', 'POST'],
      [':scheme', isSecure ? 'https' : 'http'],
      [':path', path],
      [':authority', `${host}:${port}`],
      ['te', 'trailers'],
      ...(milliseconds ? [['grpc-timeout', `${milliseconds}m`] as const] : []),
      ['content-type', 'application/grpc'],
    ]);
    this.headers.set(path, made);
    return made;
  }
}
