// UDP sockets for BFD, bound before libuv sees them: what they send has a TTL of our choice, and what
// arrives with a lower one than allowed is dropped in the kernel (GTSM, RFC 5082). IP_MINTTL is TCP's
// alone, and node tells no TTL of a datagram, so a socket filter looks at it. Hand the descriptor to
// `dgram.Socket.bind({ fd })`, which listens before it returns; from then on node closes it.
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import { AF, check, libc, pointerTo, SOCK, setIntOption } from './libc.io.ts';
import { inNetnsAt } from './namespaces.io.ts';
import { socketAddress } from './tcp.io.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** Level and option of what is sent, and where the header has it: RFC 791, RFC 8200. */
const TTL = {
  4: { level: 0, option: 2, offset: 8 },
  6: { level: IPPROTO_IPV6, option: 16, offset: 7 },
} as const;
/** IP_MTU_DISCOVER, IPV6_MTU_DISCOVER. */
const MTU_DISCOVER = {
  4: { level: 0, option: 10 },
  6: { level: IPPROTO_IPV6, option: 23 },
} as const;
/** IP_PMTUDISC_PROBE: don't fragment, and a datagram is as large as the link allows. */
const MTU_DISCOVER_PROBE = 3;

export interface UdpOptions {
  readonly address: Ip;
  readonly port: number;
  /** Of what is sent, 1 to 255. */
  readonly ttl: number;
  /** Of what is received, 0 to 255; 0 takes all. */
  readonly minTtl: number;
  /** No router may cut up what is sent, and what ICMP has told of the path's MTU is not believed. */
  readonly dontFragment?: boolean;
  /** Namespace of the socket; this process's own when absent. */
  readonly netnsPath?: string | undefined;
}

/** A bound socket. Throws OpError, e.g. EADDRINUSE (98), EADDRNOTAVAIL (99). */
export function udpFd({ netnsPath, ...options }: UdpOptions): number {
  if (netnsPath !== undefined) return inNetnsAt(netnsPath, () => udpFd(options));
  const { address, port, ttl, minTtl, dontFragment = false } = options;
  const family = familyOf(address);
  const mode = SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC;
  const fd = check('UDP socket', libc.socket(family === 4 ? AF.INET : AF.INET6, mode, 0));
  try {
    if (family === 6) setIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    setIntOption(fd, TTL[family].level, TTL[family].option, ttl);
    if (dontFragment) {
      const { level, option } = MTU_DISCOVER[family];
      setIntOption(fd, level, option, MTU_DISCOVER_PROBE);
    }
    setMinTtl(fd, family, minTtl); // before anything can arrive
    const local = socketAddress(address, port);
    check(`bind ${address} port ${port}`, libc.bind(fd, local, local.length));
    return fd;
  } catch (cause) {
    libc.close(fd);
    throw cause;
  }
}

/** The lowest TTL that is taken from now on, also of what follows on an open socket. */
export function setMinTtl(fd: number, family: Family, minTtl: number): void {
  const program = filter(TTL[family].offset, minTtl);
  const option = Buffer.alloc(16); // struct sock_fprog: count, padding, pointer
  option.writeUInt16LE(program.length / INSTRUCTION_BYTES);
  option.writeBigUInt64LE(pointerTo(program), 8);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, option, option.length);
  check(`filter of TTL ${minTtl}, ${program.length} bytes`, result);
}

const INSTRUCTION_BYTES = 8;
/** SKF_NET_OFF: offsets from here count from the IP header. */
const NETWORK_HEADER = 0xfff0_0000;
const LOAD_BYTE = 0x30;
const JUMP_IF_AT_LEAST = 0x35;
const RETURN = 0x06;
const WHOLE = 0xffff_ffff;

/** Classic BPF: the byte of the IP header at `offset` must be `least` or more. */
function filter(offset: number, least: number): Buffer {
  const instructions = [
    [LOAD_BYTE, 0, 0, NETWORK_HEADER + offset],
    [JUMP_IF_AT_LEAST, 0, 1, least],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, 0],
  ] as const;
  const program = Buffer.alloc(instructions.length * INSTRUCTION_BYTES);
  for (const [i, [code, yes, no, operand]] of instructions.entries()) {
    program.writeUInt16LE(code, i * INSTRUCTION_BYTES);
    program[i * INSTRUCTION_BYTES + 2] = yes;
    program[i * INSTRUCTION_BYTES + 3] = no;
    program.writeUInt32LE(operand, i * INSTRUCTION_BYTES + 4);
  }
  return program;
}
