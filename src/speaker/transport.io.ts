// BGP's TCP connections as wires that carry whole messages. A wire tells of its end once, and of
// nothing afterwards.
import { createServer, type Server, Socket } from 'node:net';
import type { Milliseconds } from '../base/clock.ts';
import {
  connectFd,
  type HopLimits,
  listenFd,
  setHops,
  setMd5Key,
  setSendTimeoutOf,
} from '../kernel/tcp.io.ts';
import { type Family, familyOf, type Ip, ip, parseIp } from '../net/ip.ts';
import { Inbox, type InboxListener } from './inbox.io.ts';
import type { Turns } from './turns.io.ts';

export interface Wire {
  /** Our side of the connection. */
  readonly localAddress: Ip | undefined;
  /** False: the peer reads too slowly, and too much is queued already. */
  send(bytes: readonly Uint8Array[]): boolean;
  /** Octets that the peer has not taken yet. */
  queuedOctets(): number;
  /** A peer that takes nothing of what waits for it for so long has ended the connection. */
  setSendHold(milliseconds: Milliseconds): void;
  /** Something has arrived that waits for its turn. */
  hasUnread(): boolean;
  /** Ends after what was sent has gone out, or soon in any case. */
  close(): void;
  /** Ends at once. */
  destroy(): void;
}

export interface WireListener extends InboxListener {
  /** `unread`: the peer has taken nothing for too long. */
  down(error: string, unread: boolean): void;
}

/** Bytes that may wait for a peer that does not read. */
const QUEUED_OCTETS_MAX = 16 * 1024 * 1024;
/** How long a last NOTIFICATION may take to leave. */
const CLOSE_MS = 1000;

/** Carries messages on a connected socket from now on; what they do is done in turns. */
export function openWire(socket: Socket, listener: WireListener, turns: Turns): Wire {
  let open = true;
  socket.setNoDelay(true);
  const inbox = new Inbox(socket, listener, turns);
  let failure = 'the peer closed the connection';
  let unread = false;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failure = error.message;
    unread = error.code === 'ETIMEDOUT';
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    // Its last words count.
    inbox.finish();
    if (!open) return;
    open = false;
    listener.down(failure, unread);
  });
  return {
    localAddress: parseIp(socket.localAddress ?? ''),
    send(bytes) {
      if (!open) return true;
      if (bytes.length > 1) socket.cork();
      for (const part of bytes) socket.write(part);
      if (bytes.length > 1) socket.uncork();
      return socket.writableLength <= QUEUED_OCTETS_MAX;
    },
    queuedOctets: () => socket.writableLength,
    setSendHold: (milliseconds) => setSendTimeoutOf(socket, milliseconds),
    hasUnread: () => inbox.hasUnread,
    close() {
      open = false;
      inbox.close();
      socket.end();
      setTimeout(() => socket.destroy(), CLOSE_MS).unref();
    },
    destroy() {
      open = false;
      inbox.close();
      socket.destroy();
    },
  };
}

export interface Dial extends Guard {
  readonly address: Ip;
  readonly port: number;
  readonly localAddress?: Ip | undefined;
}

/** What keeps strangers away from a session. */
export interface Guard {
  /** TCP-MD5 key (RFC 2385). */
  readonly password?: string | undefined;
  /** GTSM (RFC 5082): the peer is at most so many hops away; 0 or absent: off. */
  readonly ttlSecurityHops?: number | undefined;
}

// RFC 5082 section 3: 255 leaves, and each hop between takes one.
export const hopLimits = ({ ttlSecurityHops: hops }: Guard): HopLimits =>
  hops ? { ttl: 255, minTtl: 256 - hops } : {};

const ANY: Readonly<Record<Family, Ip>> = { 4: ip('0.0.0.0'), 6: ip('::') };

/** Tries to connect once. Answers how to give up; then neither callback comes. */
export function dial(
  peer: Dial,
  up: (socket: Socket) => void,
  failed: (error: string) => void,
): () => void {
  const { address: destination, port, localAddress, password: md5Key } = peer;
  const source = localAddress ?? ANY[familyOf(destination)];
  let socket: Socket;
  try {
    // The key has to be there before the first SYN.
    const fd = connectFd({ source, destination, md5Key, ...hopLimits(peer) });
    socket = new Socket({ fd });
  } catch (cause) {
    const later = setImmediate(() => failed((cause as Error).message));
    return () => clearImmediate(later);
  }
  const onError = (error: Error): void => failed(error.message);
  socket.once('error', onError);
  socket.connect({ host: destination, port }, () => {
    socket.removeListener('error', onError);
    up(socket);
  });
  return () => {
    socket.removeAllListeners('connect');
    socket.removeListener('error', onError);
    // A late refusal of what was given up is nobody's concern.
    socket.on('error', () => undefined);
    socket.destroy();
  };
}

export interface GuardedPeer extends Guard {
  readonly address: Ip;
}

export interface ListenerParts {
  readonly address: Ip;
  readonly port: number;
  readonly accepted: (socket: Socket, peer: Ip) => void;
  /** Told when it can listen (undefined), and why it cannot. */
  readonly state: (error: string | undefined) => void;
}

/** Listens on one own address, and tries again where it cannot. */
export class Listener {
  private readonly parts: ListenerParts;
  private readonly server: Server;
  private guards: readonly GuardedPeer[];
  private keys: ReadonlyMap<Ip, string> = new Map();
  private fd: number | undefined;
  private retry: NodeJS.Timeout | undefined;

  constructor(parts: ListenerParts, guards: readonly GuardedPeer[]) {
    this.parts = parts;
    this.guards = guards;
    this.server = createServer((socket) => {
      const peer = parseIp(socket.remoteAddress ?? '');
      // Gone again before it was accepted.
      if (!peer) socket.destroy();
      else parts.accepted(socket, peer);
    });
    this.server.on('listening', () => parts.state(undefined));
    this.server.on('error', (error) => this.failed(error.message));
    this.attempt();
  }

  /** For whom it listens: their keys and hop limits, from now on. */
  setGuards(guards: readonly GuardedPeer[]): void {
    this.guards = guards;
    const { fd } = this;
    if (fd === undefined) return;
    const keys = keysOf(guards);
    try {
      setHops(fd, familyOf(this.parts.address), sharedHopLimits(guards));
      for (const peer of this.keys.keys()) if (!keys.has(peer)) setMd5Key(fd, peer, '');
      for (const [peer, key] of keys) if (this.keys.get(peer) !== key) setMd5Key(fd, peer, key);
      this.keys = keys;
    } catch (cause) {
      this.parts.state((cause as Error).message);
    }
  }

  close(): void {
    clearTimeout(this.retry);
    this.fd = undefined;
    this.server.close();
  }

  private attempt(): void {
    const { address, port } = this.parts;
    this.keys = keysOf(this.guards);
    const md5Keys = [...this.keys].map(([peer, key]) => ({ peer, key }));
    try {
      const fd = listenFd({ address, port, md5Keys, ...sharedHopLimits(this.guards) });
      this.fd = fd;
      this.server.listen({ fd });
    } catch (cause) {
      this.failed((cause as Error).message);
    }
  }

  // The address may still be on its way to the interface.
  private failed(error: string): void {
    this.fd = undefined;
    this.parts.state(error);
    this.retry = setTimeout(() => this.attempt(), LISTEN_RETRY_MS);
  }
}

// The weakest of all: each accepted connection has the limits of its own peer besides.
function sharedHopLimits(peers: readonly GuardedPeer[]): HopLimits {
  const all = peers.map(hopLimits);
  if (all.every(({ ttl }) => ttl === undefined)) return {};
  return { ttl: 255, minTtl: Math.min(...all.map(({ minTtl = 0 }) => minTtl)) };
}

const keysOf = (peers: readonly GuardedPeer[]): ReadonlyMap<Ip, string> =>
  new Map(
    peers.flatMap(({ address, password }) => (password ? [[address, password] as const] : [])),
  );

const LISTEN_RETRY_MS = 1000;
