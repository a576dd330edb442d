import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Cidr,
  cidr,
  cidrFamily,
  cidrOf,
  containsCidr,
  networkOf,
  prefixLengthOf,
} from '../../net/cidr.ts';
import { bitsOf, ipFromValue, valueOfIp } from '../../net/ip.ts';
import { fnv1 } from '../claim/claim-order.ts';
import { freeBlocks } from './free-blocks.ts';
import { mergedRanges } from './ranges.ts';

interface World {
  readonly cidr: Cidr;
  readonly blockSize: number;
}

const overlap = (a: Cidr, b: Cidr): boolean => containsCidr(a, b) || containsCidr(b, a);

function candidateAt({ cidr: pool, blockSize }: World, index: number): Cidr {
  const family = cidrFamily(pool);
  const size = 1n << BigInt(bitsOf(family) - blockSize);
  return cidrOf(ipFromValue(valueOfIp(networkOf(pool)) + BigInt(index) * size, family), blockSize);
}

// What the index must agree with: every candidate is looked at, one by one.
function walk(world: World, seed: number, blocks: ReadonlySet<Cidr>, reserved: readonly Cidr[]) {
  const count = 2 ** (world.blockSize - prefixLengthOf(world.cidr));
  for (let step = 0; step < Math.min(count, 3000); step++) {
    const candidate = candidateAt(world, ((seed % count) + step) % count);
    const taken = [...blocks].some((block) => overlap(block, candidate));
    if (!taken && !reserved.some((range) => containsCidr(range, candidate))) return candidate;
  }
  return undefined;
}

const worlds: readonly World[] = [
  { cidr: cidr('10.0.0.0/24'), blockSize: 28 },
  { cidr: cidr('10.0.0.0/24'), blockSize: 24 },
  { cidr: cidr('fd00::/112'), blockSize: 122 },
  { cidr: cidr('fd00::/96'), blockSize: 122 }, // too many to count
];

test('the index and the walk over all candidates agree, whatever comes and goes', () => {
  const step = fc.record({
    index: fc.nat(70),
    length: fc.constantFrom(-2, -1, 0, 0, 0, 0, 1, 2),
    seed: fc.nat(200),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...worlds),
      fc.array(step, { maxLength: 40 }),
      fc.array(fc.record({ index: fc.nat(15), shorter: fc.integer({ min: 0, max: 3 }) }), {
        maxLength: 3,
      }),
      (world, steps, closed) => {
        const reserved = closed.map(({ index, shorter }) =>
          cidrOf(networkOf(candidateAt(world, index)), world.blockSize - shorter),
        );
        const free = freeBlocks(world, mergedRanges(reserved, cidrFamily(world.cidr)));
        const blocks = new Set<Cidr>();
        for (const { index, length, seed } of steps) {
          const block = cidrOf(networkOf(candidateAt(world, index)), world.blockSize + length);
          free.change(block, blocks.has(block) ? -1 : 1);
          if (!blocks.delete(block)) blocks.add(block);
          assert.equal(free.first(seed), walk(world, seed, blocks, reserved));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a full pool is known at once, and a reservation closes only what it covers wholly', () => {
  const world = { cidr: cidr('10.0.0.0/24'), blockSize: 26 };
  const free = freeBlocks(world, mergedRanges([cidr('10.0.0.0/25'), cidr('10.0.0.128/27')], 4));
  assert.equal(free.freeShare(), 0.5);
  free.change(cidr('10.0.0.128/26'), 1);
  free.change(cidr('10.0.0.192/26'), 1);
  assert.equal(free.freeShare(), 0);
  assert.equal(free.first(3), undefined);
});

test('nodes begin at places of their own', () => {
  const free = freeBlocks({ cidr: cidr('10.0.0.0/24'), blockSize: 26 }, []);
  assert.equal(free.first(fnv1('node1')), `10.0.0.${(fnv1('node1') % 4) * 64}/26`);
  const v6 = freeBlocks({ cidr: cidr('fd00::/48'), blockSize: 122 }, []);
  assert.notEqual(v6.first(fnv1('node1')), v6.first(fnv1('node2')));
});
