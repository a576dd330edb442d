// One peering with a routing table behind it, as the speaker joins them, without sockets: bytes go
// in, and what must hold is looked at after each message.
import {
  bodyOf,
  decodeSessionMessage,
  isUpdate,
  type SessionMessage,
  takeMessage,
} from '../../src/bgp/codec/message.ts';
import { notificationText } from '../../src/bgp/codec/notification.ts';
import { decodeUpdate } from '../../src/bgp/codec/update.ts';
import type { Negotiated } from '../../src/bgp/handshake.ts';
import { ourOpen } from '../../src/bgp/handshake.ts';
import { PEER_DEFAULTS } from '../../src/bgp/peers.ts';
import {
  newSession,
  type SessionConfig,
  type SessionEvent,
  stateOf,
  step,
} from '../../src/bgp/session.ts';
import { Table } from '../../src/bgp/table/table.ts';
import type { Asn } from '../../src/net/asn.ts';
import { cidr } from '../../src/net/cidr.ts';
import { ip } from '../../src/net/ip.ts';
import { resetVerdict } from './oracle.ts';

export interface Manner {
  readonly external: boolean;
  readonly fourOctetAs: boolean;
  readonly addPath: boolean;
}

const LOCAL = 64512 as Asn;
const PEER = 'peer';
const EAR = 'ear';
const POOLS = ['0.0.0.0/0', '::/0'].map((pool) => ({
  cidr: cidr(pool),
  disabled: false,
  disableBgpExport: false,
}));

export const configOf = ({ external, addPath }: Manner): SessionConfig => ({
  localAsn: LOCAL,
  peerAsn: (external ? 65001 : LOCAL) as Asn,
  routerId: ip('10.0.0.9'),
  families: [4, 6],
  passive: false,
  holdTimeSeconds: 90,
  addPath,
  extendedNextHop: true,
});

export class Target {
  /** Ends of sessions, and UPDATEs that ended one. */
  ends = 0;
  resets = 0;
  /** What must not be, in words. */
  readonly violations: string[] = [];
  private readonly manner: Manner;
  private readonly config: SessionConfig;
  private readonly table: Table;
  private session;
  private connection = 0;
  private now = 0;

  constructor(manner: Manner) {
    this.manner = manner;
    this.config = configOf(manner);
    this.session = newSession(this.config);
    this.table = new Table(
      { hasRoom: () => true, send: (_peers, buffers) => this.hear(buffers) },
      { asn: LOCAL, routerId: this.config.routerId, addresses: [ip('10.0.0.9'), ip('fd00::9')] },
    );
    this.table.setPools(POOLS);
    this.table.peerUp(EAR, this.policy(ip('10.0.0.5'), LOCAL), ip('10.0.0.9'), {
      ...this.agreed,
      peerRouterId: ip('10.0.0.5'),
    });
    this.establish(() => undefined);
  }

  /** As the wire does it: the bytes of one message, whole or not. */
  receive(bytes: Uint8Array): void {
    const taken = takeMessage(bytes, 65_535);
    if (!taken.ok)
      this.tell({ kind: 'malformed', connection: this.connection, answer: taken.error });
    else if (!taken.value) return;
    else if (isUpdate(taken.value)) this.update(bodyOf(taken.value));
    else {
      const decoded = decodeSessionMessage(taken.value);
      const { connection } = this;
      if (decoded.ok) this.tell({ kind: 'message', connection, message: decoded.value });
      else this.tell({ kind: 'malformed', connection, answer: decoded.error });
    }
  }

  get isEstablished(): boolean {
    return stateOf(this.session) === 'established';
  }

  /** Brings the session up again; `between` may disturb before each step. */
  establish(between: () => void): void {
    this.tell({ kind: 'stop' });
    this.tell({ kind: 'start' });
    this.connection += 1;
    this.tell({ kind: 'connectionUp', connection: this.connection, incoming: false });
    between();
    this.say(this.peerOpen);
    between();
    this.say({ kind: 'keepalive' });
  }

  /** Decides and tells all. */
  work(): void {
    while (this.table.work(1000, () => this.now++) === 'busy');
  }

  /** The session ends, and nothing of it may stay. */
  end(): void {
    this.tell({ kind: 'stop' });
    this.work();
    if (this.table.countOf(PEER) > 0) this.violations.push('paths outlast their session');
  }

  private say(message: SessionMessage): void {
    this.tell({ kind: 'message', connection: this.connection, message });
  }

  private get peerOpen() {
    const { localAsn: peerAsn, peerAsn: localAsn } = this.config;
    const config = { ...this.config, localAsn, peerAsn, routerId: ip('10.0.0.1') };
    const open = ourOpen(newSession(config));
    const capabilities = open.capabilities.filter(
      ({ kind }) => kind !== 'fourOctetAs' || this.manner.fourOctetAs,
    );
    return { ...open, capabilities };
  }

  private get agreed() {
    return {
      families: [4, 6] as const,
      fourOctetAs: true,
      extendedMessage: false,
      extendedNextHop: true,
      addPathReceive: [],
      addPathSend: [],
    };
  }

  private policy(address: ReturnType<typeof ip>, asn: Asn) {
    return {
      ...PEER_DEFAULTS,
      address,
      asn,
      localAsn: LOCAL,
      reflectorClient: true,
      clusterId: ip('9.9.9.9'),
    };
  }

  private update(body: Uint8Array): void {
    const { isEstablished: before } = this;
    this.tell({ kind: 'updateBytes', connection: this.connection, body });
    if (!before) return;
    const verdict = resetVerdict(body, this.manner);
    const ended = !this.isEstablished;
    if (ended) this.resets += 1;
    if (ended === (verdict === 'must') || verdict === 'may') return;
    const hex = Buffer.from(body).toString('hex');
    const error = this.session.lastError ?? '';
    this.violations.push(`${ended ? `reset (${error})` : 'no reset'} by UPDATE ${hex}`);
  }

  private tell(event: SessionEvent): void {
    this.now += 1;
    const next = step(this.session, event, { now: this.now, jitter: 1 });
    this.session = next.session;
    for (const effect of next.effects)
      if (effect.kind === 'updateBytes') {
        const { reset } = this.table.receive(PEER, effect.body);
        if (reset) this.tell({ kind: 'malformed', connection: this.connection, answer: reset });
      } else if (effect.kind === 'refresh')
        this.table.refresh(PEER, effect.family, effect.subtype, 0);
      else if (effect.kind === 'established') this.up(effect.negotiated);
      else if (effect.kind === 'down') {
        this.ends += 1;
        this.table.peerDown(PEER, effect.keeps, this.now);
      }
  }

  private up(negotiated: Negotiated): void {
    const policy = this.policy(ip('10.0.0.1'), this.config.peerAsn);
    this.table.peerUp(PEER, policy, ip('10.0.0.9'), negotiated);
  }

  // What is passed on has to be flawless, whatever it was made of.
  private hear(buffers: readonly Uint8Array[]): void {
    for (const buffer of buffers)
      for (let rest = buffer; rest.length > 0; ) {
        const taken = takeMessage(rest);
        if (!taken.ok || !taken.value) {
          this.violations.push('what is told is no message');
          return;
        }
        rest = rest.subarray(taken.value.length);
        if (isUpdate(taken.value)) this.check(bodyOf(taken.value));
        else this.checkMark(taken.value);
      }
  }

  // Beside UPDATEs only the begin and end of what a peer asked for again (RFC 7313).
  private checkMark(message: Uint8Array): void {
    const decoded = decodeSessionMessage(message);
    if (decoded.ok && decoded.value.kind === 'routeRefresh') return;
    this.violations.push(`told: ${Buffer.from(message).toString('hex')}`);
  }

  // Only the ear's: the peer's own may carry path identifiers.
  private check(body: Uint8Array): void {
    if (this.manner.addPath || !this.manner.fourOctetAs) return;
    const decoded = decodeUpdate(body, { fourOctetAs: true, external: false });
    const faults = decoded.ok ? (decoded.value.faults ?? []) : [notificationText(decoded.error)];
    const real = faults.filter((fault) => !fault.startsWith('LOCAL_PREF'));
    if (real.length > 0)
      this.violations.push(`told: ${real.join()} ${Buffer.from(body).toString('hex')}`);
  }
}
