// What a family remembers of each peer beside its paths (RFC 4724 section 4.2).

export interface Source {
  /** Its fresh starts: a path of an earlier one is stale until it is told again. */
  epoch: number;
  /** Paths older than this are void, and only wait to be removed. */
  floor: number;
}

export class Sources {
  /** By the peer's number. */
  private readonly sources: Source[] = [];

  of(peer: number): Source {
    let source = this.sources[peer];
    if (!source) {
      source = { epoch: 0, floor: 0 };
      this.sources[peer] = source;
    }
    return source;
  }
}
