// BFD sessions joined to sockets and timers, on whichever thread this runs. Decides nothing itself:
// what the machine of src/bfd answers is carried out.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:dgram';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/op-error.ts';
import { type Path, pathKey, select, TTL_MAX } from '../../bfd/demultiplex.ts';
import { decodePacket, encodePacket } from '../../bfd/packet.ts';
import {
  type BfdTimers,
  newSession,
  type Session,
  type SessionEvent,
  type StateChange,
  step,
} from '../../bfd/session.ts';
import { detectAt, nextDeadline } from '../../bfd/timers.ts';
import { parseIp } from '../../net/ip.ts';
import { BfdSockets, type Ear, sendTo } from './sockets.io.ts';

export interface BfdSession extends Path, BfdTimers {
  /** Several hops: so many at most (RFC 5082); undefined: as many as there are. */
  readonly hopsMax?: number | undefined;
}

export interface BfdSessionsParts {
  readonly clock: Clock;
  /** A random number of 0 to 1. */
  readonly random: () => number;
  /** Of the session on this path. */
  readonly changed: (path: string, change: StateChange) => void;
  /** Why a session cannot send or hear; undefined: it can again. */
  readonly trouble: (path: string, cause: string | undefined) => void;
  /** Namespace of the sockets; this process's own when absent. */
  readonly netnsPath?: string | undefined;
}

interface Running {
  readonly key: string;
  readonly path: Path;
  wanted: BfdSession;
  session: Session;
  /** Undefined until its address can be bound. */
  sender: Socket | undefined;
  timer: NodeJS.Timeout | undefined;
  trouble: string | undefined;
}

/** Looks at the sockets before a session is given up; a look takes some datagrams of each. */
const LOOKS_MAX = 1000;

export class BfdSessions {
  private readonly parts: BfdSessionsParts;
  private readonly sockets: BfdSockets;
  private readonly byPath = new Map<string, Running>();
  private readonly byDiscriminator = new Map<number, Running>();
  /** Datagrams that arrived so far. */
  private arrived = 0;

  constructor(parts: BfdSessionsParts) {
    this.parts = parts;
    const heard = (bytes: Uint8Array, from: string, ear: Ear) => this.hear(bytes, from, ear);
    this.sockets = new BfdSockets({ ...parts, heard });
  }

  /** Has these sessions and no others; of several on one path the first counts. */
  set(wanted: readonly BfdSession[]): void {
    const byKey = new Map(wanted.toReversed().map((one) => [pathKey(one), one]));
    for (const running of this.byPath.values()) if (!byKey.has(running.key)) this.end(running);
    this.sockets.keep([...this.byPath.values()].map(({ path }) => path));
    for (const [key, one] of byKey) {
      const running = this.byPath.get(key);
      if (!running) this.begin(key, one);
      else if (isOther(running.wanted, one)) {
        running.wanted = one;
        this.tell(running, { kind: 'configure', timers: one });
      }
    }
  }

  /** Tells the peers that this is no failure, and ends all. Resolves when they are told. */
  async close(): Promise<void> {
    this.set([]);
    await new Promise((resolve) => setImmediate(resolve));
  }

  private begin(key: string, wanted: BfdSession): void {
    const { localAddress, remoteAddress, multihop } = wanted;
    let discriminator = 0;
    while (discriminator === 0 || this.byDiscriminator.has(discriminator))
      discriminator = randomBytes(4).readUInt32LE();
    const running: Running = {
      key,
      path: { localAddress, remoteAddress, multihop },
      wanted,
      session: newSession(discriminator, wanted),
      sender: undefined,
      timer: undefined,
      trouble: undefined,
    };
    this.byPath.set(key, running);
    this.byDiscriminator.set(discriminator, running);
    this.tell(running, { kind: 'time' });
  }

  // RFC 5882 section 4.2: a session that is taken away is no failure of the path.
  private end(running: Running): void {
    this.tell(running, { kind: 'disable' });
    clearTimeout(running.timer);
    this.byPath.delete(running.key);
    this.byDiscriminator.delete(running.session.discriminator);
    const { sender } = running;
    running.sender = undefined;
    if (sender) setImmediate(() => sender.close()); // after its last packet
  }

  private tell(running: Running, event: SessionEvent): void {
    const { clock, random, changed } = this.parts;
    const next = step(running.session, event, { now: clock.now(), jitter: random() });
    running.session = next.session;
    for (const effect of next.effects) {
      if (effect.kind === 'send') this.send(running, encodePacket(effect.packet));
      else changed(running.key, effect.change);
    }
    this.arm(running);
  }

  private arm(running: Running): void {
    clearTimeout(running.timer);
    const deadline = nextDeadline(running.session);
    if (deadline === undefined) return;
    const wait = Math.max(0, Math.ceil(deadline - this.parts.clock.now()));
    running.timer = setTimeout(() => this.onTime(running, LOOKS_MAX), wait);
  }

  // What has arrived while this thread did not run is read before its sender counts as lost: until
  // a look at the sockets finds nothing.
  private onTime(running: Running, looks: number): void {
    if (this.byPath.get(running.key) !== running) return;
    const lost = (detectAt(running.session) ?? Number.POSITIVE_INFINITY) <= this.parts.clock.now();
    if (!lost || looks === 0) {
      this.tell(running, { kind: 'time' });
      return;
    }
    const { arrived } = this;
    setImmediate(() => this.onTime(running, this.arrived === arrived ? 0 : looks - 1));
  }

  private send(running: Running, bytes: Uint8Array): void {
    this.openSockets(running);
    if (running.sender) sendTo(running.sender, bytes, running.path);
  }

  // The address may still be on its way to the interface: each packet tries again.
  private openSockets(running: Running): void {
    const { path } = running;
    let trouble: string | undefined;
    try {
      running.sender ??= this.sockets.openSender(path.localAddress, () => {
        running.sender = undefined;
      });
      this.sockets.hear({ ...path, minTtl: this.minTtlOf(path) });
    } catch (cause) {
      trouble = messageOf(cause);
    }
    if (running.trouble !== trouble) this.parts.trouble(running.key, trouble);
    running.trouble = trouble;
  }

  // Sessions of several hops share a socket: it takes what any of them may be sent.
  private minTtlOf({ localAddress, multihop }: Path): number {
    if (!multihop) return TTL_MAX;
    let hops = 1;
    for (const { path, wanted } of this.byPath.values()) {
      if (!path.multihop || path.localAddress !== localAddress) continue;
      if (wanted.hopsMax === undefined) return 0;
      hops = Math.max(hops, wanted.hopsMax);
    }
    return TTL_MAX + 1 - hops;
  }

  private hear(bytes: Uint8Array, from: string, { localAddress, multihop }: Ear): void {
    this.arrived += 1;
    const remoteAddress = parseIp(from);
    const decoded = decodePacket(bytes);
    if (!remoteAddress || !decoded.ok) return;
    const index = { byPath: this.byPath, byDiscriminator: this.byDiscriminator };
    const running = select(decoded.value, { localAddress, remoteAddress, multihop }, index);
    if (running) this.tell(running, { kind: 'packet', packet: decoded.value });
  }
}

const isOther = (a: BfdSession, b: BfdSession): boolean =>
  (['transmitMs', 'receiveMs', 'multiplier', 'hopsMax'] as const).some((f) => a[f] !== b[f]);
