// RFC 5880 section 6.8: every state x what arrives; timers, Poll Sequences, Demand mode.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BfdState, ControlPacket } from './packet.ts';
import {
  isFailure,
  newSession,
  type Session,
  type SessionEffect,
  type SessionEvent,
  step,
} from './session.ts';
import { detectAt, detectionTimeMs, nextDeadline, transmitAt } from './timers.ts';

const TIMERS = { transmitMs: 150, receiveMs: 100, multiplier: 3 };
const THEIRS: ControlPacket = {
  diagnostic: 0,
  state: 'down',
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMultiplier: 4,
  myDiscriminator: 77,
  yourDiscriminator: 11,
  desiredMinTransmitUs: 200_000,
  requiredMinReceiveUs: 50_000,
  requiredMinEchoReceiveUs: 0,
};
const packet = (fields: Partial<ControlPacket>): SessionEvent => ({
  kind: 'packet',
  packet: { ...THEIRS, ...fields },
});
const TIME: SessionEvent = { kind: 'time' };

interface Run {
  readonly session: Session;
  readonly effects: readonly SessionEffect[];
}

/** All events at `now`, without jitter. */
function run(from: Session, now: number, ...events: readonly SessionEvent[]): Run {
  let session = from;
  const effects: SessionEffect[] = [];
  for (const event of events) {
    const next = step(session, event, { now, jitter: 1 });
    session = next.session;
    effects.push(...next.effects);
  }
  return { session, effects };
}

const sent = ({ effects }: Run): readonly ControlPacket[] =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.packet] : []));
const words = ({ effects }: Run): readonly string[] =>
  effects.map((effect) => {
    if (effect.kind === 'changed') {
      const { was, state, diagnostic } = effect.change;
      return `${was} -> ${state} (${diagnostic})${isFailure(effect.change) ? ' failure' : ''}`;
    }
    const { state, poll, final, yourDiscriminator } = effect.packet;
    return `send ${state} to ${yourDiscriminator}${poll ? ' P' : ''}${final ? ' F' : ''}`;
  });

/** A session in each state, at 1000 ms, that has just sent. */
const IN: Readonly<Record<BfdState, Session>> = {
  adminDown: run(newSession(11, TIMERS), 1000, TIME, { kind: 'disable' }).session,
  down: run(newSession(11, TIMERS), 1000, TIME).session,
  init: run(newSession(11, TIMERS), 1000, TIME, packet({})).session,
  up: run(
    newSession(11, TIMERS),
    1000,
    TIME,
    packet({ state: 'init' }),
    packet({ state: 'up', final: true }),
  ).session,
};

const TABLE: Readonly<Record<BfdState, Readonly<Record<BfdState, readonly string[]>>>> = {
  adminDown: { adminDown: [], down: [], init: [], up: [] },
  down: {
    adminDown: [],
    down: ['down -> init (0)', 'send init to 77'],
    init: ['down -> up (0)', 'send up to 77 P'],
    up: [],
  },
  init: {
    adminDown: ['init -> down (3)', 'send down to 77'],
    down: [],
    init: ['init -> up (0)', 'send up to 77 P'],
    up: ['init -> up (0)', 'send up to 77 P'],
  },
  up: {
    adminDown: ['up -> down (3)', 'send down to 77'],
    down: ['up -> down (3) failure', 'send down to 77'],
    init: [],
    up: [],
  },
};
const STATES = Object.keys(TABLE) as readonly BfdState[];

describe('every state x what the peer says (section 6.8.6)', () => {
  for (const state of STATES) {
    assert.equal(IN[state].state, state);
    for (const theirs of STATES) {
      test(`${state}, the peer says ${theirs}`, () => {
        const done = run(IN[state], 1000, packet({ state: theirs }));
        assert.deepEqual(words(done), TABLE[state][theirs]);
        assert.equal(done.session.remote.state, theirs);
      });
      test(`${state}, the peer says ${theirs} and polls: answered at once`, () => {
        const done = run(IN[state], 1000, packet({ state: theirs, poll: true }));
        const answers = sent(done);
        if (state === 'adminDown') assert.equal(answers.length, 0);
        else {
          assert.equal(answers.length, 1);
          assert(answers[0]!.final && !answers[0]!.poll);
          assert.equal(answers[0]!.state, done.session.state);
        }
      });
    }
  }
});

const EVENTS: readonly [string, SessionEvent, Readonly<Record<BfdState, readonly string[]>>][] = [
  [
    'disable',
    { kind: 'disable' },
    {
      adminDown: [],
      down: ['down -> adminDown (7)', 'send adminDown to 0'],
      init: ['init -> adminDown (7)', 'send adminDown to 77'],
      up: ['up -> adminDown (7)', 'send adminDown to 77'],
    },
  ],
  [
    'enable',
    { kind: 'enable' },
    {
      adminDown: ['adminDown -> down (0)', 'send down to 0'],
      down: [],
      init: [],
      up: [],
    },
  ],
  ['time before any deadline', TIME, { adminDown: [], down: [], init: [], up: [] }],
  [
    'other timers',
    { kind: 'configure', timers: { ...TIMERS, transmitMs: 50 } },
    {
      adminDown: [],
      down: [],
      init: [],
      up: [],
    },
  ],
];

describe('every state x every event of ours', () => {
  for (const [name, event, expected] of EVENTS) {
    for (const state of STATES)
      test(`${state}: ${name}`, () => {
        assert.deepEqual(words(run(IN[state], 1000, event)), expected[state]);
      });
  }
  const expired: Readonly<Record<BfdState, readonly string[]>> = {
    adminDown: ['send adminDown to 0'],
    down: ['send down to 0'],
    init: ['init -> down (1)', 'send down to 0'],
    up: ['up -> down (1) failure', 'send down to 0'],
  };
  for (const state of STATES)
    test(`${state}: nothing was heard for the Detection Time`, () => {
      assert.deepEqual(words(run(IN[state], 2000, TIME)), expired[state]);
    });
});

test('begins at once, then once a second until it is Up, with the jitter of each packet', () => {
  const fresh = newSession(11, TIMERS);
  assert.equal(nextDeadline(fresh), Number.NEGATIVE_INFINITY);
  const first = step(fresh, TIME, { now: 5000, jitter: 0 });
  assert.deepEqual(sent(first), [
    {
      ...THEIRS,
      detectMultiplier: 3,
      myDiscriminator: 11,
      yourDiscriminator: 0,
      desiredMinTransmitUs: 1_000_000,
      requiredMinReceiveUs: 100_000,
    },
  ]);
  assert.equal(nextDeadline(first.session), 5750);
  const second = step(first.session, TIME, { now: 5750, jitter: 0.5 });
  assert.equal(sent(second).length, 1);
  assert.equal(nextDeadline(second.session), 5750 + 875);
  assert.deepEqual(step(second.session, TIME, { now: 6624, jitter: 0 }).effects, []);
});

test('with a multiplier of 1 at least a tenth is taken off (section 6.8.7)', () => {
  const session = { ...IN.up, timers: { ...TIMERS, multiplier: 1 } };
  assert.equal(transmitAt({ ...session, jitter: 1 }), 1000 + 135);
  assert.equal(transmitAt({ ...session, jitter: 0 }), 1000 + 112.5);
});

test('the slower of both sides counts, and the peer’s multiplier', () => {
  assert.equal(transmitAt(IN.up), 1150);
  assert.equal(detectionTimeMs(IN.up), 4 * 200);
  const slower = packet({
    state: 'up',
    requiredMinReceiveUs: 700_000,
    desiredMinTransmitUs: 20_000,
    detectMultiplier: 2,
  });
  const { session } = run(IN.up, 1100, slower);
  assert.equal(transmitAt(session), 1700);
  assert.equal(detectAt(session), 1100 + 2 * 100);
});

test('a peer that wants no packets gets none, but for answers (section 6.8.7)', () => {
  const { session } = run(IN.up, 1000, packet({ state: 'up', requiredMinReceiveUs: 0 }));
  assert.equal(transmitAt(session), undefined);
  assert.deepEqual(words(run(session, 1100, packet({ state: 'up', poll: true }))), [
    'send up to 77 F',
  ]);
  const gone = run(session, 1800, TIME);
  assert.deepEqual(words(gone), ['up -> down (1) failure', 'send down to 0']);
  assert.equal(transmitAt(gone.session), 2800); // it is spoken to again
});

test('a peer in Demand mode gets nothing while both are Up, but for our Poll (section 6.6)', () => {
  const quiet = run(IN.up, 1000, packet({ state: 'up', demand: true })).session;
  assert.equal(transmitAt(quiet), undefined);
  assert.equal(detectAt(quiet), 1800); // we are not in Demand mode: it goes on sending
  const polling = run(quiet, 1000, { kind: 'configure', timers: { ...TIMERS, transmitMs: 90 } });
  assert.equal(transmitAt(polling.session), 1090);
  assert.deepEqual(words(run(polling.session, 1090, TIME)), ['send up to 77 P']);
});

describe('Poll Sequences (sections 6.5 and 6.8.3)', () => {
  const begin = run(newSession(11, TIMERS), 1000, TIME, packet({ state: 'init' }));
  const configure = (timers: Partial<typeof TIMERS>): SessionEvent => ({
    kind: 'configure',
    timers: { ...TIMERS, ...timers },
  });
  const final = packet({ state: 'up', final: true });

  test('entering Up: the new interval is used at once and polled for until Final', () => {
    assert.equal(sent(begin).at(-1)!.desiredMinTransmitUs, 150_000);
    assert.equal(transmitAt(begin.session), 1150);
    const next = run(begin.session, 1150, TIME);
    assert.deepEqual(words(next), ['send up to 77 P']);
    const after = run(next.session, 1160, final);
    assert.deepEqual(words(run(after.session, 1300, TIME)), ['send up to 77']);
  });

  test('faster sending begins at once', () => {
    assert.equal(transmitAt(run(IN.up, 1000, configure({ transmitMs: 60 })).session), 1060);
  });

  test('slower sending waits for Final', () => {
    const asked = run(IN.up, 1000, configure({ transmitMs: 900 })).session;
    assert.equal(transmitAt(asked), 1150);
    const polled = run(asked, 1150, TIME);
    assert.equal(sent(polled)[0]!.desiredMinTransmitUs, 900_000);
    assert.equal(transmitAt(polled.session), 1300);
    assert.equal(transmitAt(run(polled.session, 1200, final).session), 1150 + 900);
  });

  test('a longer Detection Time begins at once, a shorter one with Final', () => {
    const fast = packet({ state: 'up', desiredMinTransmitUs: 10_000 });
    const up = run(IN.up, 1000, fast).session;
    assert.equal(detectionTimeMs(up), 400);
    assert.equal(detectionTimeMs(run(up, 1000, configure({ receiveMs: 500 })).session), 2000);
    const shorter = run(up, 1000, configure({ receiveMs: 50 })).session;
    assert.equal(detectionTimeMs(shorter), 400);
    const confirming = packet({ state: 'up', desiredMinTransmitUs: 10_000, final: true });
    assert.equal(detectionTimeMs(run(shorter, 1000, confirming).session), 200);
  });

  test('a change during a Poll Sequence is polled for after it; another multiplier is only told', () => {
    const first = run(IN.up, 1000, configure({ transmitMs: 500 }), configure({ transmitMs: 900 }));
    const once = run(first.session, 1100, final).session;
    assert.equal(once.poll, 'active');
    assert.equal(transmitAt(once), 1150);
    assert.equal(run(once, 1100, final).session.poll, 'none');
    const told = run(IN.up, 1000, configure({ multiplier: 9 }));
    assert.equal(told.session.poll, 'none');
    assert.equal(sent(run(told.session, 1150, TIME))[0]!.detectMultiplier, 9);
  });

  test('Down ends it; timers that change while Down need none', () => {
    const down = run(begin.session, 1010, packet({ state: 'down' })).session;
    assert.equal(down.poll, 'none');
    assert.equal(transmitAt(down), 2010);
    const slow = run(down, 1010, configure({ transmitMs: 1500 })).session;
    assert.equal(transmitAt(slow), 2510);
  });

  test('a Final that nobody asked for changes nothing', () => {
    assert.deepEqual(run(IN.up, 1000, final).session, IN.up);
  });
});

test('the peer is forgotten when it was silent while Down: the next one begins anew', () => {
  const heard = run(IN.up, 1000, packet({ state: 'adminDown' }));
  assert.deepEqual(words(heard), ['up -> down (3)', 'send down to 77']);
  const { session } = run(heard.session, 1800, TIME);
  assert.equal(session.remote.discriminator, 0);
  assert.equal(detectAt(session), undefined);
  assert.deepEqual(
    words(run(session, 1900, packet({ myDiscriminator: 78, yourDiscriminator: 0 }))),
    ['down -> init (3)', 'send init to 78'],
  );
});
