// What both OPENs agree on, and what becomes of a peer's routes when its session ends: graceful
// restart (RFC 4724), NOTIFICATIONs with it (RFC 8538), long-lived routes (RFC 9494), BFD (RFC 9384).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../net/asn.ts';
import { ip } from '../net/ip.ts';
import { CEASE, ERROR, hardReset, notification, notificationText } from './codec/notification.ts';
import { type Negotiated, negotiate, ourOpen } from './handshake.ts';
import {
  newSession,
  type Session,
  type SessionConfig,
  type SessionEffect,
  type SessionEvent,
  stateOf,
  step,
} from './session.ts';
import type { Kept } from './table/stale.ts';

const CONFIG: SessionConfig = {
  localAsn: 64512 as Asn,
  peerAsn: 64512 as Asn,
  routerId: ip('10.0.0.2'),
  families: [4, 6],
  passive: false,
  holdTimeSeconds: 90,
  gracefulRestart: {
    restartSeconds: 120,
    restarting: true,
    forwardingPreserved: [4, 6],
    notifies: true,
  },
  addPath: true,
  extendedNextHop: true,
};
const PEER: SessionConfig = { ...CONFIG, routerId: ip('10.0.0.1') };
const openOf = (config: SessionConfig) => ourOpen(newSession(config));

function run(
  session: Session,
  events: readonly SessionEvent[],
  now = 0,
): { session: Session; effects: readonly SessionEffect[] } {
  const effects: SessionEffect[] = [];
  let state = session;
  for (const event of events) {
    const next = step(state, event, { now, jitter: 1 });
    state = next.session;
    effects.push(...next.effects);
  }
  return { session: state, effects };
}

const upWith = (config: SessionConfig, peer: SessionConfig): Session =>
  run(newSession(config), [
    { kind: 'start' },
    { kind: 'connectionUp', connection: 1, incoming: false },
    { kind: 'message', connection: 1, message: openOf(peer) },
    { kind: 'message', connection: 1, message: { kind: 'keepalive' } },
  ]).session;

const NEGOTIATED: [what: string, ours: object, theirs: object, agreed: Partial<Negotiated>][] = [
  [
    'both offer everything',
    {},
    { longLivedSeconds: 600 },
    {
      families: [4, 6],
      fourOctetAs: true,
      extendedMessage: true,
      routeRefresh: true,
      enhancedRefresh: true,
      addPathReceive: [4, 6],
      addPathSend: [4, 6],
      extendedNextHop: true,
      gracefulRestart: {
        restartSeconds: 120,
        restarting: true,
        notifies: true,
        families: [4, 6].map((n) => ({ family: n as 4 | 6, forwardingPreserved: true })),
      },
      longLived: [4, 6].map((n) => ({
        family: n as 4 | 6,
        forwardingPreserved: true,
        staleSeconds: 600,
      })),
    },
  ],
  [
    'only one family in common',
    { families: [4] },
    { longLivedSeconds: 600 },
    {
      families: [4],
      addPathReceive: [4],
      gracefulRestart: {
        restartSeconds: 120,
        restarting: true,
        notifies: true,
        families: [{ family: 4, forwardingPreserved: true }],
      },
      longLived: [{ family: 4, forwardingPreserved: true, staleSeconds: 600 }],
    },
  ],
  ['we do not want several paths', { addPath: false }, {}, { addPathReceive: [], addPathSend: [] }],
  ['nor does the peer', {}, { addPath: false }, { addPathReceive: [], addPathSend: [] }],
  ['no next hops of another family', {}, { extendedNextHop: false }, { extendedNextHop: false }],
  [
    'graceful restart is off here',
    { gracefulRestart: undefined },
    {},
    { gracefulRestart: undefined, longLived: undefined },
  ],
  ['and there', {}, { gracefulRestart: undefined }, { gracefulRestart: undefined }],
  ['the lower hold time', { holdTimeSeconds: 9 }, {}, { holdTimeSeconds: 9 }],
];
for (const [what, ours, theirs, agreed] of NEGOTIATED) {
  test(`negotiated: ${what}`, () => {
    const result = negotiate({ ...CONFIG, ...ours }, openOf({ ...PEER, ...theirs }));
    const keys = Object.keys(agreed) as (keyof Negotiated)[];
    assert.deepEqual(Object.fromEntries(keys.map((key) => [key, result[key]])), agreed);
    assert.deepEqual([result.peerAsn, result.peerRouterId], [64512, '10.0.0.1']);
  });
}

test('an old peer without capabilities: IPv4, two octets, nothing else', () => {
  const open = { ...openOf(PEER), capabilities: [] };
  const { families, fourOctetAs, extendedMessage, addPathSend } = negotiate(CONFIG, open);
  assert.deepEqual([families, fourOctetAs, extendedMessage, addPathSend], [[4], false, false, []]);
});

test('no family in common: Unsupported Capability, naming ours (RFC 5492 section 5)', () => {
  const { effects } = run(newSession({ ...CONFIG, families: [6] }), [
    { kind: 'start' },
    { kind: 'connectionUp', connection: 1, incoming: false },
    { kind: 'message', connection: 1, message: openOf({ ...PEER, families: [4] }) },
  ]);
  const said = effects.find((e) => e.kind === 'send' && e.message.kind === 'notification');
  assert(said?.kind === 'send' && said.message.kind === 'notification');
  assert.equal(notificationText(said.message), 'OPEN Message Error: Unsupported Capability (2/7)');
  assert.deepEqual([...said.message.data], [1, 4, 0, 2, 0, 1]);
});

const without8538 = { ...PEER.gracefulRestart!, notifies: false };
const AWARE: SessionConfig = { ...PEER, gracefulRestart: without8538 };
const OFF: SessionConfig = { ...PEER, gracefulRestart: undefined };
const message = (n: ReturnType<typeof notification>): SessionEvent => ({
  kind: 'message',
  connection: 1,
  message: n,
});
const CEASED = notification(ERROR.cease, CEASE.administrativeReset);

const NO = 'nothing';
/** How a session ends, and whether the routes stay for: RFC 8538, RFC 4724 alone, neither. */
const ENDINGS: [what: string, event: SessionEvent, stay: readonly Kept[]][] = [
  ['TCP breaks', { kind: 'connectionDown', connection: 1, error: 'reset' }, ['all', 'all', NO]],
  ['the hold timer expires', { kind: 'holdTimerExpires', connection: 1 }, ['beyond', NO, NO]],
  ['the peer does not read', { kind: 'sendHoldTimerExpires', connection: 1 }, ['beyond', NO, NO]],
  ['the peer says Cease', message(CEASED), ['all', NO, NO]],
  ['the peer does not hear us', message(notification(ERROR.holdTimer)), ['beyond', NO, NO]],
  [
    'the peer’s BFD does not hear us',
    message(notification(ERROR.cease, CEASE.bfdDown)),
    ['beyond', NO, NO],
  ],
  ['the peer says hard reset', message(hardReset(CEASED)), [NO, NO, NO]],
  ['the peer objects to an UPDATE', message(notification(ERROR.update, 1)), ['all', NO, NO]],
  [
    'we object to an UPDATE',
    { kind: 'malformed', connection: 1, answer: notification(ERROR.update, 1) },
    ['all', NO, NO],
  ],
  [
    'too many prefixes',
    { kind: 'malformed', connection: 1, answer: notification(ERROR.cease, CEASE.maximumPrefixes) },
    [NO, NO, NO],
  ],
  ['BFD says down', { kind: 'bfdDown' }, ['beyond', NO, NO]],
  ['we stop it', { kind: 'stop', reason: CEASED }, [NO, NO, NO]],
];
for (const [what, event, stay] of ENDINGS) {
  test(`stale routes: ${what}`, () => {
    const kept = [PEER, AWARE, OFF].map((peer) => {
      const { effects } = run(upWith(CONFIG, peer), [event]);
      const down = effects.filter((e) => e.kind === 'down');
      assert.equal(down.length, 1);
      return down[0]!.keeps;
    });
    assert.deepEqual(kept, stay);
  });
}

test('to a peer that keeps routes after a NOTIFICATION a Cease is a hard reset', () => {
  const said = (peer: SessionConfig, event: SessionEvent): string => {
    const sent = run(upWith(CONFIG, peer), [event]).effects.find((e) => e.kind === 'send');
    assert(sent?.message.kind === 'notification');
    return notificationText(sent.message);
  };
  const bfd: SessionEvent = { kind: 'bfdDown' };
  assert.equal(said(PEER, bfd), 'Cease: BFD Down (6/10)', 'it may keep what leads elsewhere');
  assert.equal(said(AWARE, bfd), 'Cease: BFD Down (6/10)');
  const stop: SessionEvent = { kind: 'stop', reason: CEASED };
  assert.equal(said(PEER, stop), 'Cease: Hard Reset (6/9): Cease: Administrative Reset (6/4)');
  const expired: SessionEvent = { kind: 'holdTimerExpires', connection: 1 };
  assert.equal(said(PEER, expired), 'Hold Timer Expired (4/0)');
});

test('a peer that connects anew has restarted: the new connection counts, its routes stay', () => {
  const accepted: SessionEvent = { kind: 'connectionUp', connection: 2, incoming: true };
  const { session, effects } = run(upWith(CONFIG, PEER), [accepted], 60_000);
  assert.deepEqual(
    effects.map((e) => (e.kind === 'down' ? `down ${e.keeps}` : e.kind)),
    ['close', 'down all', 'send'],
  );
  assert.equal(stateOf(session), 'openSent');
  const again = run(session, [
    { kind: 'message', connection: 2, message: openOf(PEER) },
    { kind: 'message', connection: 2, message: { kind: 'keepalive' } },
  ]);
  assert.equal(stateOf(again.session), 'established');
  // Right after the session came up it is the loser of a race; without graceful restart a mistake.
  const race = run(upWith(CONFIG, PEER), [accepted], 1000);
  const off = run(upWith(CONFIG, OFF), [accepted], 60_000);
  for (const refused of [race, off]) {
    assert.equal(stateOf(refused.session), 'established');
    assert.equal(refused.session.connections[0]?.id, 1);
  }
});

test('the Restart State bit is of the first session after a restart alone', () => {
  const bit = (session: Session): boolean | undefined =>
    ourOpen(session).capabilities.find((c) => c.kind === 'gracefulRestart')?.restarting;
  const first = newSession(CONFIG);
  assert.equal(bit(first), true);
  const failed = run(first, [{ kind: 'start' }, { kind: 'connectFailed', error: 'refused' }]);
  assert.equal(bit(failed.session), true);
  assert.equal(bit(upWith(CONFIG, PEER)), false);
});

test('forwarding state is preserved over a restart of the program, and while it runs, but not over a reboot', () => {
  const bits = (session: Session): readonly boolean[] | undefined =>
    ourOpen(session)
      .capabilities.find((c) => c.kind === 'gracefulRestart')
      ?.families.map((f) => f.forwardingPreserved);
  const rebooted = { ...CONFIG.gracefulRestart!, forwardingPreserved: [] };
  const first = { ...CONFIG, gracefulRestart: rebooted };
  assert.deepEqual(bits(newSession(CONFIG)), [true, true]);
  assert.deepEqual(bits(newSession(first)), [false, false]);
  // A connection lost later: whatever the peer has kept since holds.
  assert.deepEqual(bits(upWith(first, PEER)), [true, true]);
  const later = { ...first, gracefulRestart: { ...rebooted, restarting: false } };
  assert.deepEqual(bits(newSession(later)), [true, true]);
});

test('long-lived routes: offered with graceful restart only', () => {
  const offered = (config: SessionConfig) =>
    openOf(config).capabilities.find((c) => c.kind === 'longLived')?.families;
  assert.deepEqual(offered(CONFIG), []);
  assert.deepEqual(offered({ ...CONFIG, longLivedSeconds: 60, families: [4] }), [
    { family: 4, forwardingPreserved: true, staleSeconds: 60 },
  ]);
  assert.equal(offered({ ...OFF, longLivedSeconds: 60 }), undefined);
  // A peer that restarts in no time but whose routes may live long (RFC 9494 section 4.2).
  const brief = { ...PEER, gracefulRestart: { ...PEER.gracefulRestart!, restartSeconds: 0 } };
  const lost: SessionEvent = { kind: 'connectionDown', connection: 1, error: '' };
  const { effects } = run(upWith(CONFIG, { ...brief, longLivedSeconds: 60 }), [lost]);
  assert.equal(effects.find((e) => e.kind === 'down')?.keeps, 'all');
});

test('keepalives: as often as configured, at a third of the hold time at least', () => {
  const keepaliveAt = (keepaliveSeconds: number) =>
    upWith({ ...CONFIG, keepaliveSeconds }, PEER).connections[0]?.keepaliveAt;
  assert.equal(keepaliveAt(10), 10_000);
  assert.equal(keepaliveAt(60), 30_000);
});

test('ROUTE-REFRESH: of agreed families; its begin and end from those who may', () => {
  const told = (peer: SessionConfig, family: 4 | 6 | undefined, subtype: 'request' | 'begin') => {
    const refresh = { kind: 'routeRefresh', family, subtype } as const;
    const event = { kind: 'message', connection: 1, message: refresh } as const;
    return run(upWith(CONFIG, peer), [event]).effects.map((e) =>
      e.kind === 'refresh' ? `${e.family} ${e.subtype}` : e.kind,
    );
  };
  assert.deepEqual(told(PEER, 6, 'request'), ['6 request']);
  assert.deepEqual(told(PEER, 4, 'begin'), ['4 begin']);
  assert.deepEqual(told(PEER, undefined, 'request'), []);
  assert.deepEqual(told({ ...PEER, families: [4] }, 6, 'request'), []);
});
