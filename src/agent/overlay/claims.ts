// Who says that a block is its own: one that is taken over may be two nodes' for a moment. Pure.
import type { Cidr } from '../../net/cidr.ts';

/** Something that a node has, and when that was written. */
export interface Claim {
  readonly node: string;
  readonly revision: bigint;
}

export class Claims {
  private readonly byBlock = new Map<Cidr, readonly Claim[]>();

  /** With undefined the node gives the block up; answers whose it is now: who said so last. */
  set(block: Cidr, node: string, revision: bigint | undefined): string | undefined {
    const others = (this.byBlock.get(block) ?? []).filter((other) => other.node !== node);
    const claims = revision === undefined ? others : [...others, { node, revision }];
    if (claims.length > 0) this.byBlock.set(block, claims);
    else this.byBlock.delete(block);
    return lastOf(claims)?.node;
  }

  all(): readonly (readonly [node: string, block: Cidr])[] {
    return [...this.byBlock].flatMap(([block, claims]) =>
      claims.map(({ node }) => [node, block] as const),
    );
  }
}

/** What was written last. */
export function lastOf<T extends Claim>([first, ...others]: readonly T[]): T | undefined {
  return others.reduce((a, b) => (b.revision > a!.revision ? b : a), first);
}
