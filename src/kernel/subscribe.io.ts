// Netlink notifications on the main loop. `new net.Socket({ fd })` refuses a netlink descriptor, so
// the stream is opened on one end of a Unix socket pair and the netlink descriptor is moved onto it
// before any read. An overrun (ENOBUFS) ends the stream: subscribe anew and say that some were lost.
import { Socket } from 'node:net';
import { OpError } from '../base/op-error.ts';
import type { KernelEvent } from './kernel.ts';
import { AF, check, libc, SOCK } from './libc.io.ts';
import { decodeAddress, RTM_ADDRESS } from './netlink/address.ts';
import { decodeLink, RTM_LINK } from './netlink/link.ts';
import { type Message, messagesIn } from './netlink/message.ts';
import { neighbourEvent, RTM_NEIGHBOUR } from './netlink/neighbour.ts';
import { decodeRoute, RTM_ROUTE } from './netlink/route.ts';

/** RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE. */
export const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/** RTMGRP_NEIGH: every pod's ARP is told there, so that hardly anybody wants it. */
export const NEIGHBOUR_GROUP = 0x4;

type Listener = (event: KernelEvent) => void;

/**
 * One socket for all who listen: each message is decoded once, however many there are. Who comes
 * later may be told of what was already so when it came.
 */
export class Notifications {
  private readonly open: () => number;
  private readonly isOwn: (port: number) => boolean;
  private readonly listeners = new Set<Entry>();
  private stream = new AbortController();

  /**
   * `open` makes a socket that is subscribed to its groups, in the right namespace; `isOwn` knows the
   * sockets that our own changes go through.
   */
  constructor(open: () => number, isOwn: (port: number) => boolean) {
    this.open = open;
    this.isOwn = isOwn;
  }

  /** `ownRoutes`: whether it wants to hear of routes that we changed ourselves. */
  add(tell: Listener, signal: AbortSignal, ownRoutes = true): void {
    if (signal.aborted) return;
    if (this.listeners.size === 0) {
      this.stream = new AbortController();
      subscribe(this.open, (message) => this.take(message), this.stream.signal);
    }
    const entry = { tell, ownRoutes };
    this.listeners.add(entry);
    signal.addEventListener('abort', () => this.remove(entry), { once: true });
  }

  private remove(entry: Entry): void {
    this.listeners.delete(entry);
    if (this.listeners.size === 0) this.stream.abort();
  }

  // By the thousand, when a table is written: what nobody wants is not even decoded.
  private take(message: Message | undefined): void {
    const isOwn = message !== undefined && isRoute(message) && this.isOwn(message.port);
    let event: KernelEvent | undefined;
    for (const { tell, ownRoutes } of this.listeners) {
      if (isOwn && !ownRoutes) continue;
      event ??= message ? eventOf(message) : { kind: 'lost' };
      if (!event) return;
      tell(event);
    }
  }
}

interface Entry {
  readonly tell: Listener;
  readonly ownRoutes: boolean;
}

const isRoute = ({ type }: Message): boolean => type === RTM_ROUTE.NEW || type === RTM_ROUTE.DELETE;

/** `take` gets every message, and nothing where some were lost. Throws OpError when it cannot begin. */
function subscribe(
  open: () => number,
  take: (message: Message | undefined) => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  const stream = streamOf(open());
  const stop = (): void => void stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  stream.on('data', (datagram: Buffer) => {
    for (const message of messagesIn(datagram)) take(message);
  });
  stream.on('error', () => {}); // `close` follows
  stream.on('close', () => {
    signal.removeEventListener('abort', stop);
    resubscribe(() => {
      subscribe(open, take, signal); // first, so that nothing is missed after the re-read
      if (!signal.aborted) take(undefined);
    }, signal);
  });
}

/** A process without descriptors or memory to spare has some again when its calls have ended. */
const RETRY_MILLISECONDS = { first: 100, most: 5000 };

// Nobody waits for the kernel's news alone: who listens also looks from time to time.
function resubscribe(
  begin: () => void,
  signal: AbortSignal,
  milliseconds = RETRY_MILLISECONDS.first,
): void {
  try {
    begin();
  } catch (cause) {
    if (!(cause instanceof OpError)) throw cause;
    const next = Math.min(2 * milliseconds, RETRY_MILLISECONDS.most);
    const again = (): void => resubscribe(begin, signal, next);
    const timer = setTimeout(again, milliseconds).unref();
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }
}

/** Reads datagrams from a netlink socket, which it owns from now on. Throws OpError. */
export function streamOf(netlink: number): Socket {
  const pair = Buffer.alloc(8);
  const kind = SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC;
  try {
    check('socketpair', libc.socketpair(AF.UNIX, kind, 0, pair));
  } catch (cause) {
    libc.close(netlink);
    throw cause;
  }
  const fd = pair.readInt32LE(0);
  const stream = new Socket({ fd, readable: true, writable: false });
  check('dup3', libc.dup3(netlink, fd, SOCK.CLOEXEC)); // no child of ours is to keep it open
  libc.close(netlink);
  libc.close(pair.readInt32LE(4));
  return stream;
}

function eventOf(message: Message): KernelEvent | undefined {
  const { type } = message;
  if (type === RTM_LINK.NEW || type === RTM_LINK.DELETE) {
    const link = decodeLink(message);
    return link && { kind: 'link', link, gone: type === RTM_LINK.DELETE };
  }
  if (type === RTM_ADDRESS.NEW || type === RTM_ADDRESS.DELETE) {
    const address = decodeAddress(message);
    return address && { kind: 'address', address, gone: type === RTM_ADDRESS.DELETE };
  }
  if (type === RTM_ROUTE.NEW || type === RTM_ROUTE.DELETE) {
    const route = decodeRoute(message);
    return route && { kind: 'route', route, gone: type === RTM_ROUTE.DELETE };
  }
  if (type === RTM_NEIGHBOUR.NEW || type === RTM_NEIGHBOUR.DELETE) return neighbourEvent(message);
  return undefined;
}
