// TCP sockets for BGP whose options are set before libuv sees them: source address, MD5 key (RFC
// 2385) and GTSM (RFC 5082). A key has to be there before the first SYN, and plain net.connect has
// no descriptor until then. Hand the descriptor to `server.listen({ fd })` or to
// `new net.Socket({ fd })` and its `.connect({ host, port })`; from then on node closes it.
import type { Socket } from 'node:net';
import { assert } from '../base/assert.ts';
import { bytesOfIp, type Family, familyOf, type Ip } from '../net/ip.ts';
import { AF, check, libc, SOCK, setIntOption } from './libc.io.ts';
import { inNetnsAt } from './namespaces.io.ts';

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_TCP = 6;
const TCP_MD5SIG = 14;
const TCP_USER_TIMEOUT = 18;
/** struct tcp_md5sig: sockaddr_storage (128 bytes), flags, prefix, key length, device, key. */
const MD5SIG = { bytes: 216, keyLengthAt: 130, keyAt: 136, keyBytesMax: 80 } as const;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** Level, TTL of what is sent, lowest TTL that is accepted. */
const TTL_OPTIONS = {
  4: { level: 0, ttl: 2, minTtl: 21 },
  6: { level: IPPROTO_IPV6, ttl: 16, minTtl: 73 },
} as const;

export interface PeerKey {
  readonly peer: Ip;
  /** 1 to 80 bytes; empty removes the key. */
  readonly key: string;
}

export interface HopLimits {
  /** TTL of what is sent; 255 with GTSM, the kernel's own when absent. */
  readonly ttl?: number | undefined;
  /** Packets with a lower TTL are dropped: 255 for a neighbour, 256 - hops for others. */
  readonly minTtl?: number | undefined;
}

export interface TcpOptions extends HopLimits {
  /** Namespace of the socket; this process's own when absent. */
  readonly netnsPath?: string | undefined;
}

export interface ListenOptions extends TcpOptions {
  readonly address: Ip;
  readonly port: number;
  /** Keys can also be set later, while the server listens: setMd5Key. */
  readonly md5Keys?: readonly PeerKey[] | undefined;
}

export interface ConnectOptions extends TcpOptions {
  /** The local address; its port is the kernel's choice. */
  readonly source: Ip;
  /** Needed with a key only. */
  readonly destination?: Ip | undefined;
  readonly md5Key?: string | undefined;
}

/** A bound socket for `server.listen({ fd })`. Throws OpError, e.g. EADDRINUSE (98). */
export function listenFd({ address, port, md5Keys = [], ...options }: ListenOptions): number {
  return openSocket(address, port, options, (fd) => {
    for (const { peer, key } of md5Keys) setMd5Key(fd, peer, key);
  });
}

/** A socket that is bound to `source`, not yet connected. Throws OpError. */
export function connectFd({ source, destination, md5Key, ...options }: ConnectOptions): number {
  assert(!md5Key || destination !== undefined, 'a key belongs to a destination');
  return openSocket(source, 0, options, (fd) => {
    if (md5Key && destination) setMd5Key(fd, destination, md5Key);
  });
}

/** Sets, changes or (empty key) removes the key of one peer, at any time. Throws OpError. */
export function setMd5Key(fd: number, peer: Ip, key: string): void {
  const bytes = Buffer.from(key);
  assert(bytes.length <= MD5SIG.keyBytesMax, 'an MD5 key has at most 80 bytes');
  const option = Buffer.alloc(MD5SIG.bytes);
  socketAddress(peer, 0).copy(option);
  option.writeUInt16LE(bytes.length, MD5SIG.keyLengthAt);
  bytes.copy(option, MD5SIG.keyAt);
  check(`MD5 key of ${peer}`, libc.setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, option, option.length));
}

/** Changes the hop limits of an open socket; what is absent becomes the kernel's own. */
export function setHops(fd: number, family: Family, { ttl = -1, minTtl = 0 }: HopLimits): void {
  const options = TTL_OPTIONS[family];
  setIntOption(fd, options.level, options.ttl, ttl);
  setIntOption(fd, options.level, options.minTtl, minTtl);
}

/** Hop limits of a socket that node has accepted and keeps the descriptor of. Throws OpError. */
export function setHopsOf(socket: Socket, family: Family, limits: HopLimits): void {
  const fd = descriptorOf(socket);
  if (fd !== undefined) setHops(fd, family, limits);
}

/**
 * A connection ends with ETIMEDOUT when the other side takes none of what waits for it for so long,
 * be it that it does not answer or that it does not read. Throws OpError.
 */
export function setSendTimeoutOf(socket: Socket, milliseconds: number): void {
  const fd = descriptorOf(socket);
  if (fd !== undefined) setIntOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds);
}

// The one way to it; node has no word for it.
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}

function openSocket(
  local: Ip,
  port: number,
  { netnsPath, ttl, minTtl }: TcpOptions,
  prepare: (fd: number) => void,
): number {
  if (netnsPath !== undefined)
    return inNetnsAt(netnsPath, () => openSocket(local, port, { ttl, minTtl }, prepare));
  const family = familyOf(local);
  const mode = SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC;
  const fd = check('TCP socket', libc.socket(family === 4 ? AF.INET : AF.INET6, mode, 0));
  try {
    setIntOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (family === 6) setIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    const options = TTL_OPTIONS[family];
    if (ttl !== undefined) setIntOption(fd, options.level, options.ttl, ttl);
    if (minTtl !== undefined) setIntOption(fd, options.level, options.minTtl, minTtl);
    prepare(fd);
    const address = socketAddress(local, port);
    check(`bind ${local} port ${port}`, libc.bind(fd, address, address.length));
    return fd;
  } catch (cause) {
    libc.close(fd);
    throw cause;
  }
}

/** struct sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes). */
export function socketAddress(ip: Ip, port: number): Buffer {
  const isV4 = familyOf(ip) === 4;
  const address = Buffer.alloc(isV4 ? 16 : 28);
  address.writeUInt16LE(isV4 ? AF.INET : AF.INET6);
  address.writeUInt16BE(port, 2);
  address.set(bytesOfIp(ip), isV4 ? 4 : 8); // IPv6 has its flow label before
  return address;
}
