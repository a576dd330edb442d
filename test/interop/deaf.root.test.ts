// A peer that does not read: the others are told all and in time, what waits for it stays bounded however
// often everything changes, and when it reads again it comes to know exactly what holds now.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measure } from '../bench/bgp/course.ts';
import { DEVICES } from '../bench/bgp/devices.ts';
import { faultOf } from '../bench/bgp/fault.ts';
import { deafness } from '../bench/bgp/plans.ts';

const PREFIXES = 200_000;
/** 1 MiB may wait; what is packed at once comes on top. */
const QUEUED_MAX = 1.5 * 1024 * 1024;
const RSS_MAX_MIB = 300;

test('one of three listeners reads nothing through 5 floods, hold time 3 s', async (t) => {
  const plan = deafness(PREFIXES);
  const ours = DEVICES.find(({ name }) => name === 'ours')!;
  const outcome = await measure(ours, plan, {
    limitMs: 60_000,
    lingerMs: 4000,
    warmUps: 4,
    watched: true,
  });
  const { silenceMs, delays, rssMib } = outcome;
  t.diagnostic(
    `longest silence ${Math.round(silenceMs)} ms, at most ${delays?.queuedMax} octets waiting, ` +
      `${Math.round(rssMib)} MiB`,
  );
  assert.equal(faultOf(plan, outcome), undefined);
  assert.ok(silenceMs < plan.holdTimeSeconds * 1000, 'nobody who reads waited for a hold time');
  assert.ok(delays!.queuedMax > 1024 * 1024, 'it was too slow');
  assert.ok(delays!.queuedMax < QUEUED_MAX, `${delays!.queuedMax} octets waited`);
  assert.ok(rssMib < RSS_MAX_MIB, `${rssMib} MiB`);
});
