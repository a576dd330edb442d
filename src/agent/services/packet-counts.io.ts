// Packets that kube-proxy counts in objects of the kernel's accounting (nfacct): the rules' own
// counters tell the same, on kernels without that too. Read at most every ten seconds.
import type { TableCounts, Tables } from '../../kernel/tables.ts';
import { LOOPBACK } from '../../services/render/localnet.ts';
import type { DroppedAndAccepted } from './metrics.io.ts';

const FRESH_MILLISECONDS = 10_000;

export interface PacketCountsOptions {
  /** Of each address family; the first is IPv4's. */
  readonly tables: readonly Tables[];
  readonly servesLocalhost: boolean;
}

export class PacketCounts {
  private readonly options: PacketCountsOptions;
  private readAt = Number.NEGATIVE_INFINITY;
  private latest: Promise<DroppedAndAccepted | undefined> = Promise.resolve(undefined);

  constructor(options: PacketCountsOptions) {
    this.options = options;
  }

  /** Undefined: they cannot be read. */
  read(): Promise<DroppedAndAccepted | undefined> {
    const now = performance.now();
    if (now - this.readAt < FRESH_MILLISECONDS) return this.latest;
    this.readAt = now;
    this.latest = this.readNow().catch(() => undefined);
    return this.latest;
  }

  private async readNow(): Promise<DroppedAndAccepted> {
    const { tables, servesLocalhost } = this.options;
    const filters = await Promise.all(tables.map((one) => one.counts?.('filter')));
    const invalidDropped = filters.reduce(
      (sum, counts) => sum + packetsOf(counts, 'KUBE-FORWARD', /--ctstate INVALID.*-j DROP/),
      0,
    );
    if (!servesLocalhost) return { invalidDropped };
    const nat = await tables[0]!.counts?.('nat');
    const called = new RegExp(`-d ${LOOPBACK} `);
    return { invalidDropped, localhostAccepted: packetsOf(nat, 'KUBE-NODEPORTS', called) };
  }
}

const packetsOf = (counts: TableCounts | undefined, chain: string, rule: RegExp): number =>
  (counts?.get(chain) ?? [])
    .filter(({ text }) => rule.test(text))
    .reduce((sum, { packets }) => sum + packets, 0);
