// `make storm`: the agent of one lab host dies by kill -9 again and again.
//   ROUNDS=200  how many    SEED=n  the choices of an earlier run (moments are the machine's)
import { quantile } from '../bench/figures.ts';
import { openLab } from '../lab/lab.ts';
import { Storm } from './storm.ts';

const REPORT_EVERY = 20;

const rounds = Number(process.env['ROUNDS'] || 200);
const seed = Number(process.env['SEED'] || Math.floor(Math.random() * 2 ** 31));
if (!Number.isSafeInteger(rounds) || rounds < 1 || !Number.isSafeInteger(seed)) {
  console.error('ROUNDS and SEED are whole numbers');
  process.exit(2);
}

const lab = await openLab(1);
const storm = new Storm(lab, seed);
const line = (): string => {
  const { figures } = storm;
  const times = (values: readonly number[]): string =>
    `${Math.round(quantile(values, 0.5))} (most ${Math.round(Math.max(...values))})`;
  return (
    `${figures.rounds} rounds, ${figures.kills} kills, ${figures.adds} ADDs, ${figures.dels} DELs, ` +
    `${figures.unanswered} unanswered, ${figures.forgotten} forgotten; milliseconds until all agreed: ` +
    `${times(figures.settled)} since ready, ${times(figures.sinceStart)} since start`
  );
};
try {
  for (let round = 1; round <= rounds; round++) {
    await storm.round();
    if (round % REPORT_EVERY === 0) console.log(line());
  }
  await storm.calm();
  console.log(`${line()}\n0 duplicates, 0 leaks, 0 invariant breaks (SEED=${seed})`);
} catch (cause) {
  console.error(`SEED=${seed}: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exitCode = 1;
} finally {
  await lab.stop();
}
