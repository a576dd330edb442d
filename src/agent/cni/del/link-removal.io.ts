// Removal of pod interfaces behind the caller's back. The kernel takes about 20 ms for one link and not
// much more for a hundred, and holds the lock that every ADD needs: DEL marks the link (its routes are
// gone already, so nothing reaches it) and answers; the marked ones go together once calls have been
// quiet for a moment. The mark is in the kernel: after a crash the next agent removes what it finds.
import type { Log } from '../../../base/log.io.ts';
import type { Kernel, Link, LinkChange, Route } from '../../../kernel/kernel.ts';
import { Gathered } from './gathered.io.ts';

/** The group of links that are about to go; links belong to group 0 unless somebody moved them. */
export const DOOMED_GROUP = 0x0ca1_1c0d;

const TIMING = {
  quietMilliseconds: 1000,
  patienceMilliseconds: 10_000,
  repeatMilliseconds: 1000,
  most: 64,
};

const ENODEV = 19;

interface Made extends Pick<Link, 'name' | 'index'> {
  readonly containerId: string;
}

export class LinkRemoval {
  private readonly kernel: Kernel;
  private readonly doomed: Gathered<string>;
  /** By host interface, as long as it is there: for which container this process made it. */
  private readonly makers = new Map<string, Made>();

  constructor(kernel: Kernel, log: Log, timing = TIMING) {
    this.kernel = kernel;
    const work = (): Promise<void> => kernel.deleteLinkGroup(DOOMED_GROUP);
    this.doomed = new Gathered({ what: 'links', ...timing, work, log });
  }

  /** A pair was made for a container. */
  made({ name, index }: Pick<Link, 'name' | 'index'>, containerId: string): void {
    this.makers.set(name, { name, index, containerId });
  }

  /** The link if this process made it for the container: it may be gone, but is no other by now. */
  madeFor(name: string, containerId: string): Made | undefined {
    const made = this.makers.get(name);
    return made?.containerId === containerId ? made : undefined;
  }

  /** False: another container of this name has it now. */
  mayBelongTo(name: string, containerId: string): boolean {
    return (this.makers.get(name)?.containerId ?? containerId) === containerId;
  }

  /** Takes its routes and marks it for removal: it is as good as gone. Throws OpError. */
  doom({ name, index }: Pick<Link, 'name' | 'index'>, routes: readonly Route[]): void {
    const refused = this.kernel.applyEach([
      ...routes.map((route): LinkChange => ({ kind: 'deleteRoute', route })),
      { kind: 'setLink', index, group: DOOMED_GROUP },
    ]);
    const problem = refused.find(({ error }) => error.errno !== ENODEV);
    if (problem) throw problem.error;
    this.makers.delete(name);
    if (refused.length === 0) this.doomed.add(name);
  }

  /** Removes one link at once. Answers false when there was none. Throws OpError. */
  async remove(name: string): Promise<boolean> {
    const maker = this.makers.get(name);
    const removed = await this.kernel.deleteLink(name);
    if (this.makers.get(name) === maker) this.makers.delete(name); // else it is there anew
    return removed;
  }

  /** The links that are there: who made others is forgotten. */
  present(names: ReadonlySet<string>): void {
    for (const name of [...this.makers.keys()]) if (!names.has(name)) this.makers.delete(name);
  }

  /** Whether a link of that name is marked for removal. */
  isDoomed(name: string): boolean {
    return this.doomed.has(name);
  }

  /** Resolves when no link of that name is waiting for its removal; undefined: it is so already. */
  gone(name: string): Promise<void> | undefined {
    return this.doomed.gone(name);
  }

  get waiting(): number {
    return this.doomed.waiting;
  }

  /** How many interfaces it remembers the makers of. */
  get remembered(): number {
    return this.makers.size;
  }

  /** Removes what is marked, also by a former process. Throws OpError; it is repeated then. */
  removeAll(): Promise<void> {
    return this.doomed.doAll();
  }

  /** As removeAll; a failure is logged. */
  tryAll(): Promise<void> {
    return this.doomed.tryAll();
  }

  /** A call is under way: the removal would make it wait. */
  putOff(): void {
    this.doomed.putOff();
  }

  close(): void {
    this.doomed.close();
  }
}
