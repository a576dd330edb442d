// The sockets of BFD sessions: one that hears for each own address and port, one that sends for each
// session (RFC 5881 section 4).
import { createSocket, type Socket } from 'node:dgram';
import { OpError } from '../../base/op-error.ts';
import { BFD_PORT, type Path, SOURCE_PORTS, TTL_MAX } from '../../bfd/demultiplex.ts';
import { setMinTtl, udpFd } from '../../kernel/udp.io.ts';
import { familyOf, type Ip } from '../../net/ip.ts';

/** Where packets for a path arrive, and the lowest TTL that one of them may have. */
export interface Ear {
  readonly localAddress: Ip;
  readonly multihop: boolean;
  readonly minTtl: number;
}

export interface BfdSocketsParts {
  readonly random: () => number;
  readonly heard: (bytes: Uint8Array, from: string, ear: Ear) => void;
  /** Namespace of the sockets; this process's own when absent. */
  readonly netnsPath?: string | undefined;
}

interface Receiver {
  readonly socket: Socket;
  readonly fd: number;
  minTtl: number;
}

/** How often a source port is drawn anew when it is taken. */
const PORT_ATTEMPTS = 16;
const ADDRESS_IN_USE = 98;

export class BfdSockets {
  private readonly parts: BfdSocketsParts;
  private readonly receivers = new Map<string, Receiver>();

  constructor(parts: BfdSocketsParts) {
    this.parts = parts;
  }

  /** Hears there from now on. Throws OpError, e.g. while the address is not on an interface. */
  hear(ear: Ear): void {
    const { localAddress, minTtl } = ear;
    const key = keyOf(ear);
    const open = this.receivers.get(key);
    if (open) {
      if (open.minTtl !== minTtl) setMinTtl(open.fd, familyOf(localAddress), minTtl);
      open.minTtl = minTtl;
      return;
    }
    const { socket, fd } = this.open(localAddress, portOf(ear), minTtl, () => {
      this.receivers.delete(key);
    });
    socket.on('message', (bytes, { address }) => this.parts.heard(bytes, address, ear));
    this.receivers.set(key, { socket, fd, minTtl });
  }

  /** Hears where one of these paths begins and nowhere else. */
  keep(paths: readonly Path[]): void {
    const wanted = new Set(paths.map(keyOf));
    for (const [key, { socket }] of this.receivers) {
      if (wanted.has(key)) continue;
      socket.close();
      this.receivers.delete(key);
    }
  }

  /** A source port of its own for as long as it is open. It hears nothing. Throws OpError. */
  openSender(localAddress: Ip, ended: () => void): Socket {
    for (let attempt = 1; ; attempt++) {
      try {
        return this.open(localAddress, sourcePort(this.parts.random()), TTL_MAX, ended).socket;
      } catch (cause) {
        const taken = cause instanceof OpError && cause.errno === ADDRESS_IN_USE;
        if (!taken || attempt === PORT_ATTEMPTS) throw cause;
      }
    }
  }

  private open(
    address: Ip,
    port: number,
    minTtl: number,
    ended: () => void,
  ): { readonly socket: Socket; readonly fd: number } {
    const { netnsPath } = this.parts;
    const fd = udpFd({ address, port, ttl: TTL_MAX, minTtl, netnsPath });
    const socket = createSocket(familyOf(address) === 4 ? 'udp4' : 'udp6');
    socket.on('error', () => {
      socket.close();
      ended();
    });
    socket.bind({ fd });
    return { socket, fd };
  }
}

/** An unreachable peer is no error here: it is what the session is there to tell. */
export function sendTo(socket: Socket, bytes: Uint8Array, path: Path): void {
  socket.send(bytes, portOf(path), path.remoteAddress, () => undefined);
}

const portOf = ({ multihop }: Pick<Path, 'multihop'>): number =>
  multihop ? BFD_PORT.multihop : BFD_PORT.singleHop;

const keyOf = ({ localAddress, multihop }: Pick<Path, 'localAddress' | 'multihop'>): string =>
  `${localAddress}${multihop ? ' multihop' : ''}`;

function sourcePort(share: number): number {
  const { first, last } = SOURCE_PORTS;
  return Math.min(last, first + Math.floor(share * (last - first + 1)));
}
