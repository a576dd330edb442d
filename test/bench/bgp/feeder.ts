// Many BGP peers in one process, as cheap as they can be: what they say was encoded beforehand, and of
// what they hear only the prefixes are counted. Commands and answers are lines of JSON.
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { encodeMessage } from '../../../src/bgp/codec/message.ts';
import type { Open } from '../../../src/bgp/codec/open.ts';
import type { Asn } from '../../../src/net/asn.ts';
import { ip } from '../../../src/net/ip.ts';
import { networkBits, updatesOf, withdrawalsOf } from './routes.ts';

/** What the sessions are. */
export interface FeederPlan {
  readonly device: string;
  readonly deviceAsn: number;
  readonly holdTimeSeconds: number;
  readonly peers: readonly FeederPeer[];
}

export interface FeederPeer {
  readonly address: string;
  readonly asn: number;
  /** Prefixes from `first` on, so many, are announced; so many others are awaited. */
  readonly first: number;
  readonly count: number;
  readonly awaits: number;
  /** Reads nothing from `go` on until `hear`. */
  readonly deaf?: boolean;
}

export type FeederAnswer =
  | { readonly kind: 'established' }
  /** Milliseconds since `go`, `withdraw` or `hear` at which the last peer had heard all. */
  | { readonly kind: 'complete'; readonly milliseconds: number }
  | { readonly kind: 'lost'; readonly peer: string; readonly why: string }
  | {
      readonly kind: 'tables';
      /** Of each peer: prefixes it knows now, and their sum, in which each has its own weight. */
      readonly tables: readonly (readonly [number, number])[];
      /** Of each peer that reads: the longest time in milliseconds in which it heard nothing. */
      readonly silences: readonly number[];
    };

const say = (answer: FeederAnswer): void => console.log(JSON.stringify(answer));
const KEEPALIVE = Buffer.from(encodeMessage({ kind: 'keepalive' }, { fourOctetAs: true }));
const plan = JSON.parse(process.argv[2]!) as FeederPlan;
/** One more than the highest number of a prefix. */
const PREFIXES = Math.max(...plan.peers.map(({ first, count }) => first + count));
/** Who hears nothing at all for so long dials anew. */
const PATIENCE_MS = 5000;
let [established, complete, startedAt] = [0, 0, 0];

class Feeder {
  readonly peer: FeederPeer;
  /** By prefix: 1 when it was announced to us and not withdrawn. */
  private readonly known = new Uint8Array(PREFIXES);
  private heard = 0;
  private isUp = false;
  private heardAt = 0;
  silence = 0;
  private isComplete = true;
  /** How many prefixes it is to know in the end. */
  private goal = 0;
  private socket: Socket;
  private pending: Buffer = Buffer.alloc(0);
  private readonly updates: Buffer;
  private readonly withdrawals: Buffer;

  constructor(peer: FeederPeer) {
    this.peer = peer;
    this.updates = updatesOf(peer, plan.deviceAsn);
    this.withdrawals = withdrawalsOf(peer);
    this.socket = this.dial();
  }

  private dial(): Socket {
    const { device, holdTimeSeconds } = plan;
    const socket = connect({ host: device, port: 179, localAddress: this.peer.address });
    const asn = this.peer.asn as Asn;
    const open: Open = {
      kind: 'open',
      version: 4,
      asn,
      holdTimeSeconds,
      routerId: ip(this.peer.address),
      capabilities: [
        { kind: 'multiprotocol', family: 4 },
        { kind: 'fourOctetAs', asn },
      ],
    };
    socket.setNoDelay(true);
    socket.on('connect', () => socket.write(encodeMessage(open, { fourOctetAs: true })));
    let why = 'closed';
    socket.on('data', (chunk) => {
      why = this.take(chunk) ?? why;
    });
    socket.on('error', () => undefined);
    // A listener whose queue was full may know nothing of a connection that looks whole from here.
    const patience = setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy();
    }, PATIENCE_MS);
    socket.on('close', () => {
      clearTimeout(patience);
      this.lost(why);
    });
    return socket;
  }

  private lost(why: string): void {
    if (this.isUp) say({ kind: 'lost', peer: this.peer.address, why });
    else setTimeout(() => (this.socket = this.dial()), 200);
    this.isUp = false;
    this.pending = Buffer.alloc(0);
  }

  tell(announce: boolean): void {
    const { awaits, deaf = false } = this.peer;
    this.goal = announce ? awaits : 0;
    this.isComplete = awaits === 0 || deaf;
    if (deaf) this.socket.pause();
    this.socket.write(announce ? this.updates : this.withdrawals);
  }

  /** Reads on, and is to know in the end what all others know. */
  hear(): void {
    this.isComplete = false;
    this.socket.resume();
  }

  keepAlive(): void {
    if (this.isUp) this.socket.write(KEEPALIVE);
  }

  /** Answers the NOTIFICATION that it has found. */
  private take(chunk: Buffer): string | undefined {
    const bytes = this.pending.length > 0 ? Buffer.concat([this.pending, chunk]) : chunk;
    let at = 0;
    while (at + 19 <= bytes.length) {
      const end = at + bytes.readUInt16BE(at + 16);
      if (end > bytes.length) break;
      const type = bytes[at + 18];
      this.listen();
      if (type === 2) this.update(bytes, at + 19, end);
      else if (type === 1) this.socket.write(KEEPALIVE);
      else if (type === 3) return `NOTIFICATION ${bytes[at + 19]}/${bytes[at + 20]}`;
      else if (type === 4 && !this.isUp) this.up();
      at = end;
    }
    this.pending = bytes.subarray(at);
    return undefined;
  }

  /** Something is heard, or it is the end. */
  listen(): void {
    const now = performance.now();
    if (this.isUp) this.silence = Math.max(this.silence, now - this.heardAt);
    this.heardAt = now;
  }

  private up(): void {
    this.isUp = true;
    established += 1;
    if (established === plan.peers.length) say({ kind: 'established' });
  }

  private update(bytes: Buffer, start: number, end: number): void {
    const withdrawnEnd = start + 2 + bytes.readUInt16BE(start);
    for (let at = start + 2; at < withdrawnEnd; ) at = this.nlri(bytes, at, false);
    const attributesEnd = withdrawnEnd + 2 + bytes.readUInt16BE(withdrawnEnd);
    for (let at = attributesEnd; at < end; ) at = this.nlri(bytes, at, true);
  }

  private completed(): void {
    this.isComplete = true;
    complete += 1;
    const milliseconds = performance.now() - startedAt;
    if (complete === waiting) say({ kind: 'complete', milliseconds });
  }

  /** Prefixes that it knows, and their sum. */
  get table(): readonly [number, number] {
    let sum = 0;
    for (const [index, known] of this.known.entries())
      if (known === 1) sum = (sum + networkBits(index)) % 1_000_000_007;
    return [this.heard, sum];
  }

  private nlri(bytes: Buffer, at: number, come: boolean): number {
    const octets = (bytes[at]! + 7) >> 3;
    let key = 0;
    for (let i = 1; i <= octets; i++) key = key * 256 + bytes[at + i]!;
    // Some send a peer's own routes back, and leave it to AS_PATH that they are not believed.
    const { first, count } = this.peer;
    const index = key - networkBits(0);
    if (index >= first && index < first + count) return at + 1 + octets;
    this.heard += (come ? 1 : 0) - this.known[index]!;
    this.known[index] = come ? 1 : 0;
    if (!this.isComplete && this.heard === this.goal) this.completed();
    return at + 1 + octets;
  }
}

const listeners = plan.peers.filter(({ awaits }) => awaits > 0);
const deafOnes = listeners.filter(({ deaf }) => deaf).length;
let waiting = listeners.length - deafOnes;
const feeders = plan.peers.map((peer) => new Feeder(peer));
setInterval(
  () => {
    for (const feeder of feeders) feeder.keepAlive();
  },
  (plan.holdTimeSeconds * 1000) / 3,
);

createInterface({ input: process.stdin }).on('line', (command) => {
  if (command === 'go' || command === 'withdraw') {
    complete = 0;
    startedAt = performance.now();
    for (const feeder of feeders) feeder.tell(command === 'go');
  } else if (command === 'hear') {
    [complete, waiting, startedAt] = [0, deafOnes, performance.now()];
    for (const feeder of feeders) if (feeder.peer.deaf) feeder.hear();
  } else if (command === 'tables') {
    for (const feeder of feeders) feeder.listen();
    const silences = feeders.map(({ silence, peer }) => (peer.deaf ? 0 : silence));
    say({ kind: 'tables', tables: feeders.map(({ table }) => table), silences });
  } else process.exit(0);
});
