// A pool as the allocator uses it: its prefix, block size and selectors parsed once.
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { type Labels, matches } from '../../model/selector/match.ts';
import { parseSelector } from '../../model/selector/parse.ts';
import { describeSelectorError } from '../../model/selector/selector.ts';
import { type Cidr, cidrFamily, parseCidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';

export interface Pool {
  readonly name: string;
  readonly cidr: Cidr;
  readonly family: Family;
  /** Prefix length of a block. */
  readonly blockSize: number;
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

const DEFAULT_BLOCK_SIZE: Readonly<Record<Family, number>> = { 4: 26, 6: 122 };

/** Undefined when the pool's CIDR is none. */
export function readPool({ metadata, spec }: IpPool): Pool | undefined {
  const cidr = parseCidr(spec.cidr);
  if (!cidr) return undefined;
  const family = cidrFamily(cidr);
  return {
    name: metadata.name,
    cidr,
    family,
    blockSize: spec.blockSize || DEFAULT_BLOCK_SIZE[family],
    spec,
    nodes: labelTest(spec.nodeSelector),
    namespaces: labelTest(spec.namespaceSelector),
  };
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
