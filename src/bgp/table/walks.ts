// Long walks over all paths of a peer, a portion at a time: what it said before a session that is
// over, and what a new policy makes of it.
import { NONE } from './routes/paths.ts';
import type { Rib } from './routes/rib.ts';

/** Paths that are looked at in one portion. */
const PORTION = 1024;

interface Walk {
  readonly rib: Rib;
  readonly peer: number;
  path: number;
  readonly visit: (path: number) => void;
}

export class Walks {
  private readonly walks = new Map<string, Walk>();

  /** One walk of a kind at a time: a new one begins anew. */
  begin(kind: string, rib: Rib, peer: number, visit: (path: number) => void): void {
    const path = rib.paths.firstOf(peer);
    const key = `${kind} ${rib.family} ${peer}`;
    if (path < 0) this.walks.delete(key);
    else this.walks.set(key, { rib, peer, path, visit });
  }

  /** Removes the peer's paths that count no more. */
  sweep(rib: Rib, peer: number): void {
    this.begin('sweep', rib, peer, (path) => {
      if (rib.isVoid(path)) rib.removePath(path);
    });
  }

  get isIdle(): boolean {
    return this.walks.size === 0;
  }

  /** One portion of the oldest walk. */
  walkSome(): void {
    for (const [key, walk] of this.walks) {
      const { rib, peer, visit } = walk;
      for (let i = 0; i < PORTION && walk.path >= 0; i++) {
        // The path was removed meanwhile, or stands for another.
        if (rib.paths.peer[walk.path] !== peer) walk.path = rib.paths.firstOf(peer);
        if (walk.path === NONE) break;
        const path = walk.path;
        walk.path = rib.paths.after(path);
        visit(path);
      }
      if (walk.path < 0) this.walks.delete(key);
      return;
    }
  }
}
