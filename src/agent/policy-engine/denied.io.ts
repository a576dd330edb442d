// The log of denied packets: a line of JSON for each that a rule told of before it was dropped, with who
// denied it. So many a second; what is too much is counted.
import type { Log } from '../../base/log.io.ts';
import { messageOf, OpError } from '../../base/op-error.ts';
import { headerOf } from '../../kernel/nflog/header.ts';
import type { LoggedPacket } from '../../kernel/nflog/message.ts';
import { listenToPacketLog, type PacketLogOptions } from '../../kernel/nflog/nflog.io.ts';
import type { PolicyFacts } from '../../policy/calculate.ts';
import {
  type Denial,
  Denials,
  namesByAddress,
  TokenBucket,
} from '../../policy/counters/denials.ts';
import { NFLOG_GROUP } from '../../policy/render/fragments.ts';

/** A denied packet. */
export interface DeniedFlow extends Denial {
  readonly action: 'Deny';
  readonly source: string;
  /** `namespace/pod`. */
  readonly sourceName?: string;
  readonly sourcePort?: number;
  readonly destination: string;
  readonly destinationName?: string;
  readonly destinationPort?: number;
  /** Name or number. */
  readonly protocol: string;
  readonly icmp?: { readonly type: number; readonly code: number };
}

export interface DeniedReport {
  readonly enabled: boolean;
  /** How many were not kept because there were too many. */
  readonly suppressed: number;
  /** Newest last. */
  readonly flows: readonly (DeniedFlow & { readonly time: string })[];
}

export interface DeniedLogOptions {
  readonly facts: PolicyFacts;
  readonly log: Log;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  readonly within?: PacketLogOptions['within'];
  /** Lines in a second; default 100. */
  readonly perSecond?: number;
}

const PER_SECOND = 100;
const KEPT = 200;
const RETRY_MILLISECONDS = 10_000;
/** The table of names is made anew at most so often. */
const NAMES_MILLISECONDS = 1_000;
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
  136: 'udplite',
};

export class DeniedLog {
  private readonly options: DeniedLogOptions;
  private readonly denials: Denials;
  private readonly bucket: TokenBucket;
  private readonly kept: (DeniedFlow & { readonly time: string })[] = [];
  private names: ReadonlyMap<string, string> = new Map();
  private namesAt = Number.NEGATIVE_INFINITY;
  /** Of them, not yet told of in a line. */
  private untold = 0;
  suppressed = 0;
  logged = 0;

  /** Listens from now on. */
  constructor(options: DeniedLogOptions) {
    this.options = options;
    const { facts, now, perSecond = PER_SECOND } = options;
    this.denials = new Denials(facts);
    this.bucket = new TokenBucket(perSecond, perSecond, now().getTime());
    this.listen();
  }

  get report(): DeniedReport {
    return { enabled: true, suppressed: this.suppressed, flows: this.kept };
  }

  private listen(): void {
    const { signal, within } = this.options;
    try {
      listenToPacketLog({
        group: NFLOG_GROUP,
        onPacket: (packet, missed) => this.packet(packet, missed),
        onEnd: (cause) => this.failed(cause),
        signal,
        ...(within ? { within } : {}),
      });
    } catch (cause) {
      this.failed(new OpError('log of denied packets', messageOf(cause)));
    }
  }

  private failed(cause: OpError): void {
    const { log, signal } = this.options;
    if (signal.aborted) return;
    log.error({ cause: cause.message }, 'denied packets are not heard of; trying again');
    setTimeout(() => this.listen(), RETRY_MILLISECONDS).unref();
  }

  private packet({ prefix, payload }: LoggedPacket, missed: number): void {
    this.suppress(missed);
    const now = this.options.now();
    if (!this.bucket.take(now.getTime())) {
      this.suppress(1);
      return;
    }
    const denial = this.denials.of(prefix);
    const header = headerOf(payload);
    if (!denial || !header) return;
    const { source, destination, protocol, ...rest } = header;
    const names = this.namesNow(now.getTime());
    const [sourceName, destinationName] = [names.get(source), names.get(destination)];
    const endpoint = denial.direction === 'ingress' ? destinationName : sourceName;
    const flow: DeniedFlow = {
      ...denial,
      ...(denial.endpoint === undefined && endpoint !== undefined ? { endpoint } : {}),
      action: 'Deny',
      source,
      ...(sourceName === undefined ? {} : { sourceName }),
      destination,
      ...(destinationName === undefined ? {} : { destinationName }),
      protocol: PROTOCOLS[protocol] ?? String(protocol),
      ...rest,
    };
    this.write(flow, now);
  }

  private write(flow: DeniedFlow, now: Date): void {
    const more = this.untold > 0 ? { suppressed: this.untold } : {};
    this.untold = 0;
    this.logged++;
    this.kept.push({ time: now.toISOString(), ...flow });
    if (this.kept.length > KEPT) this.kept.shift();
    this.options.log.info({ ...flow, ...more }, 'denied flow');
  }

  private suppress(count: number): void {
    this.suppressed += count;
    this.untold += count;
  }

  private namesNow(now: number): ReadonlyMap<string, string> {
    if (now - this.namesAt < NAMES_MILLISECONDS) return this.names;
    this.names = namesByAddress(this.options.facts);
    this.namesAt = now;
    return this.names;
  }
}
