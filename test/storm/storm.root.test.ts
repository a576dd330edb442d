// A short storm; `make storm` is the long one.
import { after, before, describe, test } from 'node:test';
import { type Lab, openLab } from '../lab/lab.ts';
import { Storm } from './storm.ts';

const ROUNDS = 10;

describe('kill -9 of the agent amid ADDs and DELs', { timeout: 120_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab(1);
  });
  after(() => lab?.stop());

  test(`${ROUNDS} rounds: no address twice, nothing leaks, no invariant breaks`, async (t) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const storm = new Storm(lab, seed);
    t.diagnostic(`SEED=${seed}`);
    for (let round = 0; round < ROUNDS; round++) await storm.round();
    await storm.calm();
    t.diagnostic(JSON.stringify(storm.figures));
  });
});
