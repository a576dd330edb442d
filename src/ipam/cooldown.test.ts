import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { IpamBlock } from '../model/ipam.ts';
import { cidr } from '../net/cidr.ts';
import { assignOne, emptyBlock, releaseHandle, structureProblems } from './block.ts';
import { collectCooled } from './cooldown.ts';

const at = (seconds: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + seconds * 1000);
const fresh = emptyBlock({
  cidr: cidr('10.0.0.0/29'),
  owner: 'host:a',
  claimedAt: 't',
  sequenceNumber: 7n,
});
const assign = (block: IpamBlock, id: number): IpamBlock =>
  assignOne(block, { handle_id: `n.${id}`, secondary: {} }).block;

test('whoever rested longest is given out first; numbers and attributes go with the rest', () => {
  let block = [0, 1, 2].reduce(assign, fresh);
  block = releaseHandle(block, 'n.2', { now: at(0), seconds: 60 })!.block;
  block = releaseHandle(block, 'n.0', { now: at(5), seconds: 60 })!.block;
  assert.deepEqual(block.allocations.slice(0, 4), [2, 0, 1, null]);
  assert.deepEqual(Object.keys(block.sequenceNumberForAllocation), ['0', '1', '2']);
  assert.equal(collectCooled(block, { now: at(59), seconds: 60 }), block);
  const later = collectCooled(block, { now: at(65), seconds: 60 });
  assert.deepEqual(later.unallocated, [3, 4, 5, 6, 7, 2, 0]);
  assert.deepEqual(later.attributes, [{ handle_id: 'n.1', secondary: {} }]);
  assert.deepEqual(Object.keys(later.sequenceNumberForAllocation), ['1']);
  assert.equal(later.sequenceNumber, block.sequenceNumber);
});

test('a time that cannot be read rests nobody', () => {
  const block = { ...assign(fresh, 1), attributes: [{ releasedAt: 'yesterday' }] };
  const free = collectCooled(block, { now: at(0), seconds: 1200 });
  assert.deepEqual(free.allocations, fresh.allocations);
});

test('any order of assigns, releases and time keeps a sound block and the cooldown', () => {
  const step = fc.record({ id: fc.nat(9), release: fc.boolean(), passes: fc.nat(40) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 30), (steps, seconds) => {
      let block: IpamBlock = fresh;
      let now = 0;
      const freed = new Map<number, number>();
      for (const { id, release, passes } of steps) {
        now += passes;
        block = collectCooled(block, { now: at(now), seconds });
        if (release) {
          const released = releaseHandle(block, `n.${id}`, { now: at(now), seconds });
          for (const ordinal of released?.ordinals ?? []) freed.set(ordinal, now);
          block = released?.block ?? block;
        } else if (block.unallocated.length > 0) {
          const ordinal = block.unallocated[0]!;
          assert.ok(now - (freed.get(ordinal) ?? Number.NEGATIVE_INFINITY) >= seconds);
          block = assign(block, id);
        }
        assert.deepEqual(structureProblems(block), []);
      }
    }),
  );
});
