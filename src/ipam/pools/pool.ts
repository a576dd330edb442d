// A pool as the allocator uses it: its prefix, block size and selectors parsed once.
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { type Labels, matches } from '../../model/selector/match.ts';
import { parseSelector } from '../../model/selector/parse.ts';
import { describeSelectorError } from '../../model/selector/selector.ts';
import { type Cidr, cidrFamily, parseCidr, prefixLengthOf } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';

export interface Pool {
  readonly name: string;
  readonly cidr: Cidr;
  readonly family: Family;
  /** Prefix length of a block. */
  readonly blockSize: number;
  /** What makes blocks of this size impossible: then nobody gets an address of the pool. */
  readonly wrong: string | undefined;
  readonly spec: IpPoolSpec;
  readonly nodes: LabelTest;
  readonly namespaces: LabelTest;
}

/** A selector that can be asked about labels. */
export interface LabelTest {
  readonly text: string;
  /** Selects everything, labels or not. */
  readonly all: boolean;
  /** What is wrong with the text: then it selects nothing. */
  readonly wrong: string | undefined;
  selects(labels: Readonly<Record<string, string>>): boolean;
}

const BLOCK_SIZES = {
  4: { min: 20, usual: 26, max: 32 },
  6: { min: 116, usual: 122, max: 128 },
} as const satisfies Readonly<Record<Family, object>>;

/** Undefined when the pool's CIDR is none. */
export function readPool({ metadata, spec }: IpPool): Pool | undefined {
  const cidr = parseCidr(spec.cidr);
  if (!cidr) return undefined;
  const family = cidrFamily(cidr);
  const blockSize = spec.blockSize || BLOCK_SIZES[family].usual;
  return {
    name: metadata.name,
    cidr,
    family,
    blockSize,
    wrong: sizeProblem(cidr, blockSize),
    spec,
    nodes: labelTest(spec.nodeSelector),
    namespaces: labelTest(spec.namespaceSelector),
  };
}

// A block has an entry for each of its addresses: one of another size would take all memory.
function sizeProblem(cidr: Cidr, blockSize: number): string | undefined {
  const { min, max } = BLOCK_SIZES[cidrFamily(cidr)];
  if (!Number.isInteger(blockSize) || blockSize < min || blockSize > max)
    return `blockSize ${JSON.stringify(blockSize)} is not within ${min}..${max}`;
  return prefixLengthOf(cidr) > blockSize
    ? `${cidr} is smaller than one block of /${blockSize}`
    : undefined;
}

function labelTest(text = ''): LabelTest {
  const parsed = parseSelector(text);
  if (!parsed.ok) {
    const wrong = describeSelectorError(text, parsed.error);
    return { text, all: false, wrong, selects: () => false };
  }
  const { value: selector } = parsed;
  const labelsOf =
    (labels: Readonly<Record<string, string>>): Labels =>
    (name) =>
      Object.hasOwn(labels, name) ? labels[name] : undefined;
  return {
    text,
    all: selector.kind === 'all',
    wrong: undefined,
    selects: (labels) => matches(selector, labelsOf(labels)),
  };
}
