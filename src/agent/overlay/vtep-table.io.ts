// Neighbours and forwarding entries of one VXLAN device, kept as the other nodes' devices demand: at once
// when these change, and within a second when somebody changes an entry.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Kernel, KernelEvent } from '../../kernel/kernel.ts';
import type { Ip } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import { type Vtep, vtepChanges } from './vteps.ts';

/** Changes that come together are written together. */
const SETTLE_MS = 5;
/** Who keeps changing entries is answered no more often than this. */
const REPAIR_PAUSE_MS = 200;
const RETRY_MS = 500;
const ENOENT = 2;

export interface VtepTableParts {
  readonly kernel: Kernel;
  readonly log: Log;
  /** Of the device's family. */
  readonly wanted: () => readonly Vtep[];
}

export class VtepTable {
  private readonly parts: VtepTableParts;
  private linkIndex: number | undefined;
  /** As last written. */
  private macs: ReadonlyMap<Ip, Mac> = new Map();
  private remotes: ReadonlyMap<Mac, Ip> = new Map();
  private timer: NodeJS.Timeout | undefined;

  constructor(parts: VtepTableParts) {
    this.parts = parts;
  }

  /** The device is there, and may have lost its entries. */
  setDevice(linkIndex: number): void {
    this.linkIndex = linkIndex;
    this.sync();
  }

  /** Other nodes have changed. */
  changed(): void {
    this.schedule(SETTLE_MS);
  }

  /** What the kernel tells: an entry that is not as it was written wakes the table. */
  heard(event: KernelEvent): void {
    if (event.kind === 'lost') this.schedule(SETTLE_MS);
    else if (event.kind === 'link' && event.gone && event.link.index === this.linkIndex)
      this.linkIndex = undefined;
    else if (event.kind === 'neighbour' && event.neighbour.linkIndex === this.linkIndex) {
      const { ip, mac } = event.neighbour;
      if (this.macs.get(ip) !== (event.gone ? undefined : mac)) this.schedule(REPAIR_PAUSE_MS);
    } else if (event.kind === 'forwarding' && event.entry.linkIndex === this.linkIndex) {
      const { mac, remote } = event.entry;
      const isWanted = this.remotes.get(mac) === remote;
      if (isWanted === event.gone) this.schedule(REPAIR_PAUSE_MS);
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.linkIndex = undefined;
  }

  private schedule(delay: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.sync();
    }, delay);
  }

  private sync(): void {
    const { kernel, log } = this.parts;
    const { linkIndex } = this;
    if (linkIndex === undefined) return;
    const wanted = this.parts.wanted();
    this.macs = new Map(wanted.map(({ ip, mac }) => [ip, mac]));
    this.remotes = new Map(wanted.map(({ mac, node }) => [mac, node]));
    try {
      const changes = vtepChanges(linkIndex, wanted, {
        neighbours: kernel.neighbours(linkIndex),
        forwarding: kernel.forwarding(linkIndex),
      });
      const refused = kernel.applyEach(changes).filter(({ error }) => error.errno !== ENOENT);
      if (changes.length > 0) log.info({ changes: changes.length }, 'VXLAN entries written');
      if (!refused[0]) return;
      throw refused[0].error;
    } catch (cause) {
      log.warn({ cause: messageOf(cause) }, 'VXLAN entries are not as they should be');
      this.schedule(RETRY_MS);
    }
  }
}
