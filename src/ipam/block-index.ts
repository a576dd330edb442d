// Every known block, and for each question that a request asks the blocks that answer it: no request
// walks over all blocks.
import type { AllocationAttribute, IpamBlock } from '../model/ipam.ts';
import type { Cidr } from '../net/cidr.ts';
import { isAbandoned, ownerOf } from './block.ts';
import { isCooling } from './cooldown.ts';
import type { Stored } from './ipam-view.ts';

export class BlockIndex {
  /** Blocks that name this node as their owner. */
  readonly owned: ReadonlySet<Cidr> = new Set();
  /** Blocks with addresses that were assigned on this node. */
  readonly used: ReadonlySet<Cidr> = new Set();
  /** Blocks with an address that is free, or will be when it has cooled down. */
  readonly open: ReadonlySet<Cidr> = new Set();
  /** Blocks of others, or of nobody, in which nobody has an address. */
  readonly idle: ReadonlySet<Cidr> = new Set();
  private readonly all = new Map<Cidr, Stored<IpamBlock>>();
  private readonly node: string;
  private readonly setTaken: (block: Cidr, taken: boolean) => void;

  /** `setTaken` is told where a claim may and may not make a block. */
  constructor(node: string, setTaken: (block: Cidr, taken: boolean) => void) {
    this.node = node;
    this.setTaken = setTaken;
  }

  get = (cidr: Cidr): Stored<IpamBlock> | undefined => this.all.get(cidr);
  has = (cidr: Cidr): boolean => this.all.has(cidr);
  keys = (): Iterable<Cidr> => this.all.keys();

  set(cidr: Cidr, stored: Stored<IpamBlock>): void {
    this.all.set(cidr, stored);
    const { affinity, attributes, unallocated } = stored.value;
    const mine = affinity === ownerOf(this.node);
    const inUse = attributes.some((attribute) => !isCooling(attribute));
    include(this.owned, cidr, mine);
    include(this.used, cidr, attributes.some(this.isOfThisNode));
    include(this.open, cidr, unallocated.length > 0 || attributes.some(isCooling));
    include(this.idle, cidr, !mine && !inUse);
    this.setTaken(cidr, !isAbandoned(stored.value));
  }

  delete(cidr: Cidr): void {
    this.all.delete(cidr);
    for (const set of [this.owned, this.used, this.open, this.idle]) include(set, cidr, false);
    this.setTaken(cidr, false);
  }

  private isOfThisNode = ({ secondary }: AllocationAttribute): boolean =>
    secondary?.['node'] === this.node;
}

function include(set: ReadonlySet<Cidr>, cidr: Cidr, member: boolean): void {
  const own = set as Set<Cidr>;
  if (member) own.add(cidr);
  else own.delete(cidr);
}
