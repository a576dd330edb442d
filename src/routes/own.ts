// What a node answers for, from its confirmed affinities, its endpoints and the pools alone. The
// peers, the blackholes and the routes to others' addresses all follow from this one answer, so
// that they cannot disagree.
import { type Cidr, cidrFamily, containsCidr, prefixLengthOf } from '../net/cidr.ts';
import { bitsOf } from '../net/ip.ts';

export interface OwnFacts {
  /** Blocks with a confirmed affinity to this node. */
  readonly blocks: readonly Cidr[];
  /** The single addresses of this node's endpoints and tunnels. */
  readonly addresses: Iterable<Cidr>;
  readonly pools: readonly { readonly cidr: Cidr }[];
}

export interface OwnRoutes {
  /** What the peers are told. */
  readonly announced: readonly Cidr[];
  /** Traffic to the free addresses of a block ends here. */
  readonly blackholes: readonly Cidr[];
  /** Addresses that live here: whatever others tell of them is not believed. */
  readonly held: ReadonlySet<Cidr>;
}

/**
 * An own block is announced whole. An address in a block of another node, or of none, is borrowed:
 * it is announced by itself, and as the longer prefix it wins over the block. A block of one
 * address is nothing but that address: who holds it announces it. An address in no pool is not
 * BGP's affair; one in a disabled pool is, since disabling only ends the handing out.
 */
export function ownRoutes({ blocks, addresses, pools }: OwnFacts): OwnRoutes {
  const whole = blocks.filter((block) => !isSingle(block));
  const held = new Set<Cidr>();
  for (const address of addresses) if (isSingle(address)) held.add(address);
  const ranges = pools.map(({ cidr }) => cidr);
  const single = [...held].filter((a) => !isCovered(a, whole) && isCovered(a, ranges));
  return { announced: [...whole, ...single], blackholes: whole, held };
}

/** Whether one of the prefixes holds the address, so that nobody need hear of it. */
export const isCovered = (address: Cidr, prefixes: Iterable<Cidr>): boolean => {
  for (const prefix of prefixes) if (containsCidr(prefix, address)) return true;
  return false;
};

const isSingle = (prefix: Cidr): boolean => prefixLengthOf(prefix) === bitsOf(cidrFamily(prefix));
