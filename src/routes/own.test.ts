import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Cidr, cidr, cidrOf, containsCidr, hostCidr, prefixLengthOf } from '../net/cidr.ts';
import { ipFromValue } from '../net/ip.ts';
import { ownRoutes } from './own.ts';

const POOLS = [{ cidr: cidr('192.168.0.0/16') }, { cidr: cidr('fd00:10::/48') }];
const own = (blocks: string[], addresses: string[], pools = POOLS) =>
  ownRoutes({ blocks: blocks.map(cidr), addresses: addresses.map(cidr), pools });

const TABLE = [
  {
    name: 'a pod in an own block: the block alone',
    blocks: ['192.168.1.0/26'],
    addresses: ['192.168.1.7/32'],
    announced: ['192.168.1.0/26'],
  },
  {
    name: 'a borrowed address: itself, beside the own block',
    blocks: ['192.168.1.0/26'],
    addresses: ['192.168.2.7/32'],
    announced: ['192.168.1.0/26', '192.168.2.7/32'],
  },
  {
    name: 'the block was reclaimed and its pod lives on',
    blocks: [],
    addresses: ['192.168.1.7/32'],
    announced: ['192.168.1.7/32'],
  },
  {
    name: 'IPv6',
    blocks: ['fd00:10::/122'],
    addresses: ['fd00:10::1/128', 'fd00:10::41/128'],
    announced: ['fd00:10::/122', 'fd00:10::41/128'],
  },
  {
    name: 'a block of one address is announced by who holds the address',
    blocks: ['192.168.9.9/32', '192.168.9.10/32'],
    addresses: ['192.168.9.9/32'],
    announced: ['192.168.9.9/32'],
  },
  {
    name: 'one address of two endpoints is announced once',
    blocks: [],
    addresses: ['192.168.2.7/32', '192.168.2.7/32'],
    announced: ['192.168.2.7/32'],
  },
  {
    name: 'an address in no pool, and what is no address',
    blocks: [],
    addresses: ['172.16.0.1/32', '192.168.2.0/28'],
    announced: [],
  },
] as const;

for (const { name, blocks, addresses, announced } of TABLE)
  test(`own routes: ${name}`, () => {
    const made = own([...blocks], [...addresses]);
    assert.deepEqual(made.announced, announced);
    const wide = blocks.filter((block) => !/\/(32|128)$/.test(block));
    assert.deepEqual(made.blackholes, wide);
  });

// A small world, so that nodes meet in blocks: 8 blocks of 16 addresses.
const block = fc.integer({ min: 0, max: 7 }).map((n) => cidrOf(at(n * 16), 28));
const address = fc.integer({ min: 0, max: 127 }).map((n) => hostCidr(at(n)));
const at = (n: number) => ipFromValue(0xc0a80000n + BigInt(n), 4);
const world = fc.record({
  /** Who owns each block, and who holds each address: 0 and 1 are nodes, 2 is nobody. */
  owners: fc.array(fc.tuple(block, fc.integer({ min: 0, max: 2 })), { maxLength: 8 }),
  holders: fc.array(fc.tuple(address, fc.integer({ min: 0, max: 1 })), { maxLength: 40 }),
});

test('wherever an address lives, the longest announced prefix leads there and no blackhole is longer', () => {
  fc.assert(
    fc.property(world, ({ owners, holders }) => {
      const [owner, holder] = [new Map(owners), new Map(holders)];
      const keys = (of: ReadonlyMap<Cidr, number>, node: number): Cidr[] =>
        [...of].filter(([, n]) => n === node).map(([prefix]) => prefix);
      const nodes = [0, 1].map((n) =>
        ownRoutes({ blocks: keys(owner, n), addresses: keys(holder, n), pools: POOLS }),
      );
      for (const [living, node] of holder) {
        const told = nodes.flatMap(({ announced }, n) =>
          announced.filter((p) => containsCidr(p, living)).map((p) => [prefixLengthOf(p), n]),
        );
        const longest = Math.max(...told.map(([length]) => length!));
        const leads = told.filter(([length]) => length === longest).map(([, n]) => n);
        assert.deepEqual(leads, [node]);
        for (const hole of nodes.flatMap(({ blackholes }) => blackholes))
          if (containsCidr(hole, living)) assert(prefixLengthOf(hole) <= longest);
      }
      for (const { announced, blackholes } of nodes)
        assert(blackholes.every((hole) => announced.includes(hole)));
    }),
  );
});
