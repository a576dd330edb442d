// `make differential`: random worlds in which the kernel's, the evaluator's and the reference's verdict
// of every probe must be the same.
//   WORLDS=2000  how many    SECONDS=60  or for how long    SEED=1  the first one
import { differential } from './kernel.ts';

const number = (name: string, otherwise: number): number => {
  const value = Number(process.env[name] || otherwise);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`${name}: ${process.env[name]} is no whole number`);
  process.exit(2);
};

const seed = number('SEED', 1);
const seconds = number('SECONDS', 0);
const most = number('WORLDS', seconds > 0 ? Number.MAX_SAFE_INTEGER : 2000);
const started = performance.now();
const elapsed = (): number => (performance.now() - started) / 1000;
const outcome = await differential(
  seed,
  (worlds) => worlds < most && (seconds === 0 || elapsed() < seconds),
);
for (const difference of outcome.differences) console.error(difference);
console.log(
  `seed ${seed}: ${outcome.worlds} worlds in ${Math.round(elapsed())} s, ${outcome.probes} probes, ` +
    `${outcome.allowed} of them allowed, ${outcome.differences.length} differences`,
);
process.exitCode = outcome.differences.length > 0 ? 1 : 0;
