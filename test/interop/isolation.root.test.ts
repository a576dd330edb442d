// Keepalives are sent on time whatever the routing table does: one peer announces 1,000,000 prefixes, a
// second hears all of them, a third hears nothing else; all hold timers are 3 s.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measure } from '../bench/bgp/course.ts';
import { DEVICES } from '../bench/bgp/devices.ts';
import { faultOf } from '../bench/bgp/fault.ts';
import { flood } from '../bench/bgp/plans.ts';

const PREFIXES = 1_000_000;
/** Two hold times: a keepalive is due every second of the time after the flood too. */
const LINGER_MS = 6000;

test('1,000,000 prefixes, hold time 3 s: no session is lost, no prefix is missing', async (t) => {
  const plan = flood(PREFIXES);
  const ours = DEVICES.find(({ name }) => name === 'ours')!;
  const outcome = await measure(ours, plan, {
    limitMs: 60_000,
    lingerMs: LINGER_MS,
    warmUps: 0,
    watched: true,
  });
  t.diagnostic(
    `converged in ${Math.round(outcome.completeMs)} ms, longest silence ${Math.round(outcome.silenceMs)} ms, ` +
      `longest slice ${outcome.delays?.sliceCpuMax.toFixed(1)} ms of processor time, ` +
      `${outcome.delays?.slicesLong} of ${outcome.delays?.slices} slices above 5 ms, ` +
      `longest message ${outcome.delays?.messageCpuMax.toFixed(1)} ms`,
  );
  assert.equal(faultOf(plan, outcome), undefined);
  assert.ok(outcome.silenceMs < plan.holdTimeSeconds * 1000, 'nobody waited for a hold time');
  const { slices, slicesLong, sliceCpuMax, messageCpuMax } = outcome.delays!;
  // By processor time, which knows nothing of what else the machine does. A collection of the heap may
  // fall into any of them.
  assert.ok(slices > 20 && slicesLong <= 1, `${slicesLong} of ${slices} above 5 ms`);
  assert.ok(sliceCpuMax < 10, `a slice of ${sliceCpuMax} ms`);
  assert.ok(messageCpuMax < 10, `a message of ${messageCpuMax} ms`);
});
