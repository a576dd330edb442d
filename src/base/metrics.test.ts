// What a summary tells of what it saw.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentSummary, Registry } from './metrics.io.ts';

test('a summary tells quantiles of the last observations, the sum and the count of all', async () => {
  const registry = new Registry();
  const summary = new RecentSummary({ name: 'took', help: 'Time', registers: [registry] });
  const told = async (): Promise<readonly string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('took'));
  const none = [0.5, 0.9, 0.99].map((quantile) => `took{quantile="${quantile}"} 0`);
  assert.deepEqual(await told(), [...none, 'took_sum 0', 'took_count 0']);
  for (let i = 0; i < 1000; i++) summary.observe(1000);
  for (let i = 500; i > 0; i--) summary.observe(i);
  assert.deepEqual(await told(), [
    'took{quantile="0.5"} 251',
    'took{quantile="0.9"} 451',
    'took{quantile="0.99"} 496',
    `took_sum ${1_000_000 + 125_250}`,
    'took_count 1500',
  ]);
});
