// Two machines in virtual time over a link that loses, delays and reorders: they always come Up, do
// not flap while enough packets arrive, and see a cut within the Detection Time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodePacket, encodePacket } from './packet.ts';
import {
  type BfdTimers,
  isFailure,
  newSession,
  type Session,
  type SessionEvent,
  step,
} from './session.ts';
import { detectionTimeMs, nextDeadline } from './timers.ts';

interface Link {
  /** Of a packet: its delay in milliseconds, or lost. */
  readonly fate: () => number | 'lost';
}

type Side = 0 | 1;
const SIDES = [0, 1] as const;

/** Numbers of 0 to 1 that a seed gives. */
function chance(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

class Pair {
  readonly sessions: [Session, Session];
  readonly failures: { readonly side: Side; readonly at: number }[] = [];
  now = 0;
  link: Link;
  private readonly random: () => number;
  private inFlight: { readonly at: number; readonly to: Side; readonly bytes: Uint8Array }[] = [];

  constructor(timers: readonly [BfdTimers, BfdTimers], link: Link, random: () => number) {
    this.sessions = [newSession(1, timers[0]), newSession(0xffffffff, timers[1])];
    this.link = link;
    this.random = random;
  }

  get up(): boolean {
    return this.sessions.every(({ state }) => state === 'up');
  }

  tell(side: Side, event: SessionEvent): void {
    const next = step(this.sessions[side], event, { now: this.now, jitter: this.random() });
    this.sessions[side] = next.session;
    for (const effect of next.effects) {
      if (effect.kind === 'changed') {
        if (isFailure(effect.change)) this.failures.push({ side, at: this.now });
        continue;
      }
      const delay = this.link.fate();
      const bytes = encodePacket(effect.packet);
      const to = side === 0 ? 1 : 0;
      if (delay !== 'lost') this.inFlight.push({ at: this.now + delay, to, bytes });
    }
  }

  /** Until the time comes or `enough`; answers whether it was enough. */
  runUntil(end: number, enough: () => boolean = () => false): boolean {
    while (!enough()) {
      const arrivals = this.inFlight.map(({ at }) => at);
      const deadlines = this.sessions.map((session) => nextDeadline(session) ?? end);
      const next = Math.max(this.now, Math.min(...arrivals, ...deadlines));
      if (next >= end) {
        this.now = end;
        return false;
      }
      this.now = next;
      const arrived = this.inFlight.filter(({ at }) => at <= this.now);
      this.inFlight = this.inFlight.filter(({ at }) => at > this.now);
      for (const { to, bytes } of arrived) {
        const decoded = decodePacket(bytes);
        assert(decoded.ok);
        this.tell(to, { kind: 'packet', packet: decoded.value });
      }
      for (const side of SIDES) this.tell(side, { kind: 'time' });
    }
    return true;
  }
}

const TIMERS: fc.Arbitrary<BfdTimers> = fc.record({
  transmitMs: fc.integer({ min: 10, max: 2000 }),
  receiveMs: fc.integer({ min: 10, max: 2000 }),
  multiplier: fc.integer({ min: 1, max: 10 }),
});
const BOTH = fc.tuple(TIMERS, TIMERS);
const SEED = fc.integer({ min: 1, max: 2 ** 31 });
const IDEAL: Link = { fate: () => 1 };
const CUT: Link = { fate: () => 'lost' };

test('two machines always come Up, whatever a bad link did before', () => {
  fc.assert(
    fc.property(BOTH, SEED, fc.integer({ min: 0, max: 90 }), (timers, seed, lossPercent) => {
      const random = chance(seed);
      const bad: Link = { fate: () => (random() * 100 < lossPercent ? 'lost' : random() * 400) };
      const pair = new Pair(timers, bad, random);
      pair.runUntil(20_000);
      pair.link = IDEAL;
      // What is still on its way may end it once more.
      pair.runUntil(pair.now + 2000);
      assert(
        pair.runUntil(pair.now + 30_000, () => pair.up),
        JSON.stringify(pair.sessions),
      );
    }),
    { numRuns: 150 },
  );
});

test('a good link: Up within three slow packets, then no failure, and no Poll Sequence stays', () => {
  fc.assert(
    fc.property(BOTH, SEED, (timers, seed) => {
      const random = chance(seed);
      const pair = new Pair(timers, IDEAL, random);
      const slow = Math.max(1000, ...timers.flatMap((t) => [t.transmitMs, t.receiveMs]));
      assert(pair.runUntil(3 * slow, () => pair.up));
      pair.runUntil(pair.now + 20_000);
      assert.deepEqual(pair.failures, []);
      assert(pair.up && pair.sessions.every(({ poll }) => poll === 'none'));
      for (const side of SIDES) {
        const [mine, other] = side === 0 ? timers : [timers[1], timers[0]];
        const agreed = Math.max(mine.receiveMs, other.transmitMs);
        assert.equal(detectionTimeMs(pair.sessions[side]), other.multiplier * agreed);
      }
    }),
    { numRuns: 100 },
  );
});

test('a cut link is seen by both sides within the Detection Time, and not before a packet is missed', () => {
  fc.assert(
    fc.property(BOTH, SEED, (timers, seed) => {
      const pair = new Pair(timers, IDEAL, chance(seed));
      pair.runUntil(20_000);
      assert(pair.up);
      const times = pair.sessions.map(detectionTimeMs);
      const [cut, longest] = [pair.now, Math.max(...times)];
      pair.link = CUT;
      pair.runUntil(cut + longest + 10);
      assert.deepEqual(pair.failures.map(({ side }) => side).sort(), [0, 1]);
      for (const { side, at } of pair.failures) {
        assert(at <= cut + times[side]! + 2, `${at - cut} of ${times[side]}`);
        const interval = times[side]! / timers[side === 0 ? 1 : 0].multiplier;
        assert(at > cut + times[side]! - interval - 2);
      }
    }),
    { numRuns: 100 },
  );
});

test('timers that change while Up never cost the session, and are agreed in the end', () => {
  fc.assert(
    fc.property(BOTH, BOTH, BOTH, SEED, (timers, second, third, seed) => {
      // A multiplier of 1 has no room for the moment of change.
      const patient = (t: BfdTimers): BfdTimers => ({ ...t, multiplier: t.multiplier + 1 });
      const pair = new Pair([patient(timers[0]), patient(timers[1])], IDEAL, chance(seed));
      pair.runUntil(20_000);
      for (const [n, next] of [second, third].entries()) {
        for (const side of SIDES)
          pair.tell(side, { kind: 'configure', timers: patient(next[side]) });
        pair.runUntil(pair.now + (n === 0 ? 5 : 20_000));
      }
      assert.deepEqual(pair.failures, []);
      assert(pair.sessions.every(({ poll }) => poll === 'none'));
      assert.equal(
        detectionTimeMs(pair.sessions[0]),
        (third[1].multiplier + 1) * Math.max(third[0].receiveMs, third[1].transmitMs),
      );
    }),
    { numRuns: 100 },
  );
});

test('a side that is taken out of service: no failure at either, and Up again afterwards', () => {
  fc.assert(
    fc.property(BOTH, SEED, (timers, seed) => {
      const pair = new Pair(timers, IDEAL, chance(seed));
      pair.runUntil(20_000);
      pair.tell(0, { kind: 'disable' });
      pair.runUntil(pair.now + 30_000);
      assert.deepEqual(
        pair.sessions.map(({ state }) => state),
        ['adminDown', 'down'],
      );
      pair.tell(0, { kind: 'enable' });
      assert(pair.runUntil(pair.now + 10_000, () => pair.up));
      assert.deepEqual(pair.failures, []);
    }),
    { numRuns: 50 },
  );
});
