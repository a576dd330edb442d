// Numbers of prefixes through every growth of their slots, beside a plain map.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Family } from '../../../net/ip.ts';
import { octetsOfBits } from '../../codec/nlri.ts';
import { Prefixes } from './prefixes.ts';

/** The prefix with this number of many: as octets on the wire, of some lengths. */
function octetsOf(family: Family, n: number): Uint8Array {
  const bits = (family === 4 ? 24 : 56) + (n % 9);
  const octets = new Uint8Array(1 + octetsOfBits(bits));
  octets[0] = bits;
  const view = new DataView(octets.buffer);
  if (family === 4) view.setUint16(1, n >>> 8);
  else view.setUint32(2, n);
  octets[3] = family === 4 ? n & 255 : octets[3]!;
  return octets;
}

function differences(prefixes: Prefixes, numbers: ReadonlyMap<string, number>): number {
  let differences = prefixes.size === numbers.size ? 0 : 1;
  for (const [text, id] of numbers) {
    const octets = Buffer.from(text, 'latin1');
    if (prefixes.find(octets, 1, octets[0]!) !== id) differences += 1;
  }
  return differences;
}

for (const family of [4, 6] as const)
  test(`IPv${family}: numbers stay through growth, in portions or at once, and are given again`, () => {
    const prefixes = new Prefixes(family);
    const numbers = new Map<string, number>();
    const text = (n: number) => Buffer.from(octetsOf(family, n)).toString('latin1');
    let portions = 0;
    for (let n = 0; n < 400_000; n++) {
      const octets = octetsOf(family, n);
      numbers.set(text(n), prefixes.intern(octets, 1, octets[0]!));
      // Some go while others stand in the next slots already, and their numbers come again.
      if (n % 3 === 2) {
        const gone = text(n - 1 - (n % 1000));
        const id = numbers.get(gone);
        if (id !== undefined) prefixes.forget(id);
        numbers.delete(gone);
      }
      // Up to here the slots grow at once; from here on beforehand.
      if (n > 50_000 && n % 100 === 0 && prefixes.prepareSome()) portions += 1;
      if (n % 50_000 === 0) assert.equal(differences(prefixes, numbers), 0, `at ${n}`);
    }
    while (prefixes.prepareSome()) portions += 1;
    assert.equal(differences(prefixes, numbers), 0);
    assert.ok(portions > 100, `${portions} portions`);
    assert.equal(new Set(numbers.values()).size, numbers.size, 'each has a number of its own');
    assert.ok(prefixes.end < 400_000, 'numbers were given again');
  });

test('what a message holds gets the same numbers together as one by one, while slots grow', () => {
  const [one, many] = [new Prefixes(4), new Prefixes(4)];
  let different = 0;
  for (let from = 0; from < 200_000; from += 500) {
    const pieces = Array.from({ length: 750 }, (_, i) => octetsOf(4, from + i));
    const message = Buffer.concat(pieces);
    const expected = pieces.map((octets) => one.intern(octets, 1, octets[0]!));
    const found: number[] = [];
    for (let at = 0; at < message.length; ) {
      at = many.lookAhead(message, at, message.length, false);
      many.internUpcoming();
      found.push(...many.upcoming.ids.subarray(0, many.upcoming.count));
    }
    if (found.join() !== expected.join()) different += 1;
    many.prepareSome();
    for (const id of expected.slice(0, 40)) {
      one.forget(id);
      many.forget(id);
    }
  }
  assert.equal(different, 0);
});

test('room taken at once: numbers that stand already stay, and no slots are filled later', () => {
  const prefixes = new Prefixes(4);
  const numbers = new Map<string, number>();
  const intern = (n: number): void => {
    const octets = octetsOf(4, n);
    const text = Buffer.from(octets).toString('latin1');
    numbers.set(text, prefixes.intern(octets, 1, octets[0]!));
  };
  for (let n = 0; n < 30_000; n++) intern(n);
  prefixes.prepareSome();
  prefixes.widen(2 ** 21);
  assert.equal(differences(prefixes, numbers), 0);
  for (let n = 30_000; n < 130_000; n++) intern(n);
  assert.equal(prefixes.prepareSome(), false);
  assert.equal(differences(prefixes, numbers), 0);
});
