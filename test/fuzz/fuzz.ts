// Mutated messages through the codec, the session machine and the routing table.
import { Random } from '../simulation/random.ts';
import { corpusOf, mutate } from './corpus.ts';
import { configOf, type Manner, Target } from './target.ts';

export interface FuzzOutcome {
  readonly messages: number;
  readonly ends: number;
  readonly resets: number;
  readonly violations: readonly string[];
  /** Octets of memory when it had warmed up, and at the end. */
  readonly warmRss: number;
  readonly rss: number;
}

const MANNERS: readonly Manner[] = [false, true].flatMap((external) =>
  [true, false].flatMap((fourOctetAs) =>
    [false, true].map((addPath) => ({ external, fourOctetAs, addPath })),
  ),
);
/** Messages after which the table works, and after which a session ends. */
const WORK_EVERY = 32;
const END_EVERY = 5000;
const VIOLATIONS_MAX = 10;
/** Messages after which memory should grow no more. */
const WARM = 500_000;

/** Goes on while `goOn` says so; the same seed does the same. */
export function fuzz(seed: number, goOn: (messages: number) => boolean): FuzzOutcome {
  const random = new Random(seed);
  const targets = MANNERS.map((manner) => new Target(manner));
  const corpora = MANNERS.map((manner) => corpusOf(configOf(manner)));
  let messages = 0;
  let warmRss = 0;
  const violations = () => targets.flatMap((target) => target.violations);
  while (goOn(messages) && violations().length < VIOLATIONS_MAX) {
    const which = random.integer(0, targets.length - 1);
    const [target, corpus] = [targets[which]!, corpora[which]!];
    const next = (): Uint8Array => {
      const { messages: all, updates } = corpus;
      const good = all[random.integer(0, random.chance(0.95) ? updates - 1 : all.length - 1)]!;
      return random.chance(0.1) ? good : mutate(good, random.of(all), random);
    };
    for (let i = 0; i < END_EVERY; i++) {
      messages += 1;
      if (!target.isEstablished)
        target.establish(() => random.chance(0.2) && target.receive(next()));
      target.receive(next());
      if (i % WORK_EVERY === 0) target.work();
    }
    target.end();
    if (warmRss === 0 && messages >= WARM) warmRss = process.memoryUsage().rss;
  }
  const sum = (of: (target: Target) => number) => targets.reduce((n, t) => n + of(t), 0);
  const rss = process.memoryUsage().rss;
  return {
    messages,
    ends: sum((t) => t.ends),
    resets: sum((t) => t.resets),
    violations: violations(),
    warmRss: warmRss || rss,
    rss,
  };
}
