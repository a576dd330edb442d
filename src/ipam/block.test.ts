import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { IpamBlock } from '../model/ipam.ts';
import { cidr } from '../net/cidr.ts';
import { assignOne, emptyBlock, ordinalsOf, releaseHandle, structureProblems } from './block.ts';

const empty = (size = 26): IpamBlock =>
  emptyBlock({
    cidr: cidr(`192.168.166.128/${size}`),
    owner: 'host:node1',
    claimedAt: 't',
    sequenceNumber: 1795390800780191032n,
  });
const p = (n: number) => ({
  handle_id: `k8s-pod-network.p${n}`,
  secondary: { node: 'node1', timestamp: 't' },
});

// What the real plugin stores after ADD p1, ADD p2, DEL p1, ADD p3.
test('the recorded sequence of Calico', () => {
  const one = assignOne(empty(), p(1)).block;
  assert.deepEqual(one.allocations.slice(0, 2), [0, null]);
  assert.equal(one.sequenceNumber, 1795390800780191033n);
  assert.deepEqual(one.sequenceNumberForAllocation, { 0: 1795390800780191032n });
  const two = assignOne(one, p(2)).block;
  const freed = releaseHandle(two, 'k8s-pod-network.p1')!.block;
  assert.deepEqual(freed.allocations.slice(0, 2), [null, 0]);
  assert.deepEqual(freed.attributes, [p(2)]);
  assert.equal(freed.unallocated.at(-1), 0);
  assert.equal(freed.sequenceNumber, 1795390800780191035n);
  assert.deepEqual(freed.sequenceNumberForAllocation, { 1: 1795390800780191033n });
  const three = assignOne(freed, p(3));
  assert.equal(three.ordinal, 2);
  assert.deepEqual(three.block.allocations.slice(0, 3), [null, 0, 1]);
  assert.deepEqual(three.block.sequenceNumberForAllocation, {
    1: 1795390800780191033n,
    2: 1795390800780191035n,
  });
});

test('any sequence of assigns and releases keeps a sound block, longest free first', () => {
  const step = fc.oneof(
    fc.record({ assign: fc.integer({ min: 0, max: 9 }) }),
    fc.record({ release: fc.integer({ min: 0, max: 9 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let block = empty(28);
      for (const s of steps) {
        if ('assign' in s && block.unallocated.length > 0) {
          const expected = block.unallocated[0];
          const { block: next, ordinal } = assignOne(block, p(s.assign));
          assert.equal(ordinal, expected);
          block = next;
        } else if ('release' in s) {
          block = releaseHandle(block, p(s.release).handle_id)?.block ?? block;
          assert.deepEqual(ordinalsOf(block, p(s.release).handle_id), []);
        }
        assert.deepEqual(structureProblems(block), []);
      }
    }),
  );
});
