import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkIpReservationSpec } from './ip-reservation.ts';
import { parseBlock } from './ipam.ts';
import {
  blocksPerNodeMax,
  claimsBlocks,
  cooldownSeconds,
  ipamConfigProblem,
} from './ipam-config.ts';

test('a block with fields missing, of old spelling or unknown is read for what it means', () => {
  const text =
    '{"cidr":"10.0.0.0/31","hostAffinity":"a","allocations":[null,null],"unallocated":null,"attributes":null,"later":[1]}';
  const parsed = parseBlock(text);
  assert.deepEqual(parsed.ok && parsed.value, {
    cidr: '10.0.0.0/31',
    affinity: 'host:a',
    allocations: [null, null],
    unallocated: [],
    attributes: [],
    sequenceNumber: 0,
    sequenceNumberForAllocation: {},
    deleted: false,
    later: [1],
  });
  const bare = parseBlock('{"cidr":"10.0.0.0/31","affinity":"a","allocations":[]}');
  assert.equal(bare.ok && bare.value.affinity, 'host:a', 'a missing type means host');
  const virtual = parseBlock('{"cidr":"10.0.0.0/31","affinity":"virtual:lb","allocations":[]}');
  assert.equal(virtual.ok && virtual.value.affinity, 'virtual:lb');
  assert.ok(!parseBlock('{"cidr":"10.0.0.0/31","allocations":null}').ok);
});

test('configurations that make no sense are refused with the reason', () => {
  assert.equal(ipamConfigProblem({ auto_allocate_blocks: true }), undefined);
  assert.equal(ipamConfigProblem({ strict_affinity: true }), undefined);
  assert.match(ipamConfigProblem({}) ?? '', /autoAllocateBlocks must be true/);
  const limit = { auto_allocate_blocks: true, maxBlocksPerHost: 3 };
  assert.match(ipamConfigProblem(limit) ?? '', /maxBlocksPerHost needs strictAffinity/);
  assert.equal(ipamConfigProblem({ ...limit, strict_affinity: true }), undefined);
  const long = { auto_allocate_blocks: true, ipCooldownSeconds: 1201 };
  assert.match(ipamConfigProblem(long) ?? '', /within 0\.\.1200/);
  assert.match(ipamConfigProblem({ ...limit, maxBlocksPerHost: -1 }) ?? '', /not within 0\.\./);
});

test('what absent fields and an absent object mean', () => {
  assert.deepEqual([claimsBlocks(undefined), claimsBlocks({})], [true, false]);
  assert.deepEqual(
    [blocksPerNodeMax(undefined), blocksPerNodeMax({ maxBlocksPerHost: 3 })],
    [20, 3],
  );
  assert.deepEqual([cooldownSeconds({}), cooldownSeconds({ ipCooldownSeconds: 5000 })], [0, 1200]);
});

test('reservations: every entry must be a CIDR', () => {
  assert.equal(checkIpReservationSpec({ reservedCIDRs: ['10.0.0.0/30', 'fd00::1'] }), undefined);
  assert.equal(checkIpReservationSpec({}), undefined);
  assert.match(checkIpReservationSpec({ reservedCIDRs: ['x'] }) ?? '', /x is no CIDR/);
  assert.match(checkIpReservationSpec({ reservedCIDRs: 'x' }) ?? '', /no list/);
});
