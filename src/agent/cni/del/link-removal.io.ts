// Removal of pod interfaces behind the caller's back. The kernel takes about 20 ms for one link and not
// much more for a hundred, and holds the lock that every ADD needs: DEL marks the link (its routes are
// gone already, so nothing reaches it) and answers; the marked ones go together once calls have been
// quiet for a moment. The mark is in the kernel: after a crash the next agent removes what it finds.
import type { Log } from '../../../base/log.io.ts';
import { messageOf, OpError } from '../../../base/op-error.ts';
import type { Kernel, Link } from '../../../kernel/kernel.ts';

/** The group of links that are about to go; links belong to group 0 unless somebody moved them. */
export const DOOMED_GROUP = 0x0ca1_1c0d;

/** Quiet time before the removal, and how long steady calls may put it off. */
const QUIET_MILLISECONDS = 1000;
const PATIENCE_MILLISECONDS = 10_000;
const DOOMED_MAX = 64;

const ENODEV = 19;

export class LinkRemoval {
  private readonly kernel: Kernel;
  private readonly log: Log;
  private doomed = new Set<string>();
  private doomedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  /** By host interface: the container for which this process made it. */
  private readonly makers = new Map<string, string>();

  constructor(kernel: Kernel, log: Log) {
    this.kernel = kernel;
    this.log = log;
  }

  /** A pair was made for a container. */
  made(name: string, containerId: string): void {
    this.makers.set(name, containerId);
  }

  /** False: another container of this name has it now. */
  mayBelongTo(name: string, containerId: string): boolean {
    return (this.makers.get(name) ?? containerId) === containerId;
  }

  /** Marks a link for removal: it is as good as gone. */
  doom({ name, index }: Link): void {
    try {
      this.kernel.apply([{ kind: 'setLink', index, group: DOOMED_GROUP }]);
    } catch (cause) {
      if (cause instanceof OpError && cause.errno === ENODEV) return;
      throw cause;
    }
    this.makers.delete(name);
    if (this.doomed.size === 0) this.doomedAt = performance.now();
    this.doomed.add(name);
    this.putOff();
  }

  /** Resolves when no link of that name is waiting for its removal; undefined: it is so already. */
  gone(name: string): Promise<void> | undefined {
    return this.doomed.has(name) ? this.removeAll() : this.running;
  }

  get waiting(): number {
    return this.doomed.size;
  }

  /** Removes what is marked, also by a former process. Throws OpError when the kernel refuses. */
  removeAll(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const removing = (this.running ?? Promise.resolve()).then(() => {
      this.doomed.clear();
      return this.kernel.deleteLinkGroup(DOOMED_GROUP);
    });
    const running = removing
      .catch(() => {})
      .then(() => {
        if (this.running === running) this.running = undefined;
      });
    this.running = running;
    return removing;
  }

  /** A call is under way: the removal would make it wait. */
  putOff(): void {
    if (this.doomed.size === 0) return;
    const waited = performance.now() - this.doomedAt;
    const overdue = waited > PATIENCE_MILLISECONDS || this.doomed.size >= DOOMED_MAX;
    if (overdue && this.timer) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.removeQuietly(), overdue ? 0 : QUIET_MILLISECONDS).unref();
  }

  private removeQuietly(): void {
    this.removeAll().catch((cause: unknown) => {
      this.log.warn({ cause: messageOf(cause) }, 'links not removed; it will be repeated');
    });
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
