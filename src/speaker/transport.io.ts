// BGP's TCP connections as wires that carry whole messages. A wire tells of its end once, and of
// nothing afterwards.
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';
import { takeMessage } from '../bgp/codec/message.ts';
import type { Notification } from '../bgp/codec/notification.ts';
import { type Ip, parseIp } from '../net/ip.ts';

export interface Wire {
  /** False: the peer reads too slowly, and too much is queued already. */
  send(bytes: readonly Uint8Array[]): boolean;
  /** Octets that the peer has not taken yet. */
  queuedOctets(): number;
  /** Ends after what was sent has gone out, or soon in any case. */
  close(): void;
  /** Ends at once. */
  destroy(): void;
}

export interface WireListener {
  message(bytes: Uint8Array): void;
  /** The stream cannot be read on. */
  malformed(answer: Notification): void;
  down(error: string): void;
  /** The longest message that may come now. */
  octetsMax(): number;
}

/** Bytes that may wait for a peer that does not read. */
const QUEUED_OCTETS_MAX = 16 * 1024 * 1024;
/** How long a last NOTIFICATION may take to leave. */
const CLOSE_MS = 1000;

/** Carries messages on a connected socket from now on. */
export function openWire(socket: Socket, listener: WireListener): Wire {
  let open = true;
  let pending: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true);
  const ended = (error: string): void => {
    if (!open) return;
    open = false;
    listener.down(error);
  };
  socket.on('data', (chunk: Buffer) => {
    pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
    while (open && pending.length > 0) {
      const taken = takeMessage(pending, listener.octetsMax());
      if (!taken.ok) {
        pending = Buffer.alloc(0);
        listener.malformed(taken.error);
        return;
      }
      if (!taken.value) return;
      pending = pending.subarray(taken.value.length);
      listener.message(taken.value);
    }
  });
  let failure = 'the peer closed the connection';
  socket.on('error', (error) => {
    failure = error.message;
  });
  socket.on('end', () => socket.destroy());
  socket.on('close', () => ended(failure));
  return {
    send(bytes) {
      if (!open) return true;
      if (bytes.length > 1) socket.cork();
      for (const part of bytes) socket.write(part);
      if (bytes.length > 1) socket.uncork();
      return socket.writableLength <= QUEUED_OCTETS_MAX;
    },
    queuedOctets: () => socket.writableLength,
    close() {
      open = false;
      socket.end();
      setTimeout(() => socket.destroy(), CLOSE_MS).unref();
    },
    destroy() {
      open = false;
      socket.destroy();
    },
  };
}

export interface Dial {
  readonly address: Ip;
  readonly port: number;
  readonly localAddress?: Ip | undefined;
}

/** Tries to connect once. Answers how to give up; then neither callback comes. */
export function dial(
  { address, port, localAddress }: Dial,
  up: (socket: Socket) => void,
  failed: (error: string) => void,
): () => void {
  const socket = tcpConnect({ host: address, port, ...(localAddress ? { localAddress } : {}) });
  const onError = (error: Error): void => failed(error.message);
  socket.once('error', onError);
  socket.once('connect', () => {
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

/** Listens on one own address; `failed` is called when it cannot, or can no longer. */
export function listen(
  address: Ip,
  port: number,
  accepted: (socket: Socket, peer: Ip) => void,
  state: (error: string | undefined) => void,
): () => void {
  const server: Server = createServer((socket) => {
    const peer = parseIp(socket.remoteAddress ?? '');
    // Gone again before it was accepted.
    if (!peer) socket.destroy();
    else accepted(socket, peer);
  });
  let retry: NodeJS.Timeout | undefined;
  const attempt = (): void => void server.listen({ host: address, port, ipv6Only: true });
  server.on('listening', () => state(undefined));
  server.on('error', (error) => {
    state(error.message);
    // The address may still be on its way to the interface.
    retry = setTimeout(attempt, LISTEN_RETRY_MS);
  });
  attempt();
  return () => {
    clearTimeout(retry);
    server.close();
  };
}

const LISTEN_RETRY_MS = 1000;
