// `make fuzz`: damaged BGP messages, and whether anything breaks.
//   MESSAGES=10000000  how many    SECONDS=60  or for how long    SEED=1  where chance begins
import { fuzz } from './fuzz.ts';

const number = (name: string, otherwise: number): number => {
  const value = Number(process.env[name] || otherwise);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`${name}: ${process.env[name]} is no whole number`);
  process.exit(2);
};

/** Memory that a run may have at its end beyond what it had when it was warm. */
const RSS_GROWTH_MAX = 64 * 1024 * 1024;
const MIB = 1024 * 1024;

const seed = number('SEED', 1);
const seconds = number('SECONDS', 0);
const most = number('MESSAGES', seconds > 0 ? Number.MAX_SAFE_INTEGER : 10_000_000);
const started = process.hrtime.bigint();
const elapsed = (): number => Number(process.hrtime.bigint() - started) / 1e9;

const outcome = fuzz(seed, (messages) => messages < most && (!seconds || elapsed() < seconds));
const { messages, ends, resets, violations, warmRss, rss } = outcome;
for (const violation of violations) console.error(`violation: ${violation}`);
const grown = rss - warmRss > RSS_GROWTH_MAX;
if (grown) console.error('memory grows');
console.log(
  `seed ${seed}: ${messages} messages in ${Math.round(elapsed())} s, ${ends} sessions ended, ` +
    `${resets} of them by an UPDATE, ${violations.length} violations, ` +
    `RSS ${Math.round(warmRss / MIB)} -> ${Math.round(rss / MIB)} MiB`,
);
process.exitCode = violations.length > 0 || grown ? 1 : 0;
