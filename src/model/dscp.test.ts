import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dscpOf } from './dscp.ts';

test('DSCP by IANA’s names and by number', () => {
  const cases: readonly (readonly [unknown, number | undefined])[] = [
    ...([
      ['DF', 0],
      ['LE', 1],
      ['CS0', 0],
      ['CS1', 8],
      ['AF11', 10],
      ['AF23', 22],
    ] as const),
    ...([
      ['CS5', 40],
      ['AF43', 38],
      ['VA', 44],
      ['EF', 46],
      ['CS7', 56],
    ] as const),
    ...([
      ['0', 0],
      [63, 63],
      ['63', 63],
      ['64', undefined],
      [-1, undefined],
    ] as const),
    ...([
      ['AF44', undefined],
      ['CS8', undefined],
      ['ef', undefined],
      ['', undefined],
    ] as const),
    ...([
      ['toString', undefined],
      [1.5, undefined],
      [undefined, undefined],
    ] as const),
  ];
  for (const [value, number] of cases) assert.equal(dscpOf(value), number, String(value));
});
