// One TCP or TLS connection with an HTTP/2 session on it, that notices when the other side is gone.
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { messageOf } from '../base/op-error.ts';
import { Session } from './http2/session.ts';

/** A black-holed connection is noticed within both together. */
const QUIET_MILLISECONDS = 5000;
const PONG_MILLISECONDS = 3000;
const CONNECT_MILLISECONDS = 2000;
/** How long answers to PINGs wait for a request that takes them along. */
const ANSWER_MILLISECONDS = 100;
const READ_BYTES = 1 << 16;

export interface Address {
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
}

/** PEM of the authorities, and of what this client shows. Absent authorities: the system's. */
export interface Tls {
  readonly authorities?: Buffer;
  readonly certificate?: Buffer;
  readonly key?: Buffer;
}

export interface Connection {
  readonly session: Session;
  /** Ends all its streams with the reason. */
  close(why: string): void;
}

/** Rejects with the reason. `onClosed` is called once the connection is gone. */
export function connect(address: Address, tls: Tls, onClosed: () => void): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const { host, port, isSecure } = address;
    let open: OpenConnection | undefined;
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (count: number): boolean => {
      open?.read(buffer.subarray(0, count));
      return true;
    };
    const options = { host, port, noDelay: true, onread: { buffer, callback } };
    const { authorities: ca, certificate: cert, key } = tls;
    const shown = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
    const name = isIP(host) ? {} : { servername: host };
    const socket: Socket = isSecure
      ? connectTls({ ...options, ...shown, ...name, ALPNProtocols: ['h2'] })
      : connectTcp(options);
    let problem = 'the connection ended';
    const timer = setTimeout(
      () => socket.destroy(new Error(`no connection within ${CONNECT_MILLISECONDS} ms`)),
      CONNECT_MILLISECONDS,
    );
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      open = new OpenConnection(socket);
      resolve(open);
    });
    socket.on('error', (cause) => {
      problem = messageOf(cause);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error(`${host}:${port}: ${problem}`));
      if (!open) return;
      onClosed();
      open.ended(problem);
    });
  });
}

class OpenConnection implements Connection {
  readonly session: Session;
  private readonly socket: Socket;
  private lastRead = performance.now();
  private timer: NodeJS.Timeout;
  private isAsked = false;
  private answering: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    this.session = new Session((bytes) => {
      if (!socket.destroyed) socket.write(bytes);
    });
    this.timer = setTimeout(() => this.look(), QUIET_MILLISECONDS);
  }

  read(bytes: Buffer): void {
    this.lastRead = performance.now();
    this.isAsked = false;
    try {
      this.session.receive(bytes);
    } catch (cause) {
      this.socket.destroy(cause instanceof Error ? cause : new Error(String(cause)));
      return;
    }
    if (!this.session.isOpen && this.session.streamCount === 0) this.socket.destroy();
    else if (this.session.owesAnswers)
      this.answering ??= setTimeout(() => this.answer(), ANSWER_MILLISECONDS);
  }

  private answer(): void {
    this.answering = undefined;
    this.session.flush();
  }

  close(why: string): void {
    this.socket.destroy(new Error(why));
  }

  ended(problem: string): void {
    clearTimeout(this.timer);
    clearTimeout(this.answering);
    this.session.fail(problem);
  }

  private look(): void {
    const left = QUIET_MILLISECONDS - (performance.now() - this.lastRead);
    if (this.isAsked) {
      // If this process slept, the answer lies in the socket: it is read first.
      setImmediate(() => {
        if (this.isAsked) this.close('the server has fallen silent');
        else this.lookIn(QUIET_MILLISECONDS);
      });
      return;
    }
    if (left > 0) {
      this.lookIn(left);
      return;
    }
    this.isAsked = true;
    this.session.ping();
    this.lookIn(PONG_MILLISECONDS);
  }

  private lookIn(milliseconds: number): void {
    if (!this.socket.destroyed) this.timer = setTimeout(() => this.look(), milliseconds);
  }
}
