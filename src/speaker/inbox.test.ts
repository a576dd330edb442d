import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { encodeMessage, MESSAGE_OCTETS_MAX } from '../bgp/codec/message.ts';
import { ERROR, type Notification } from '../bgp/codec/notification.ts';
import { Inbox } from './inbox.io.ts';
import { Turns } from './turns.io.ts';

/** Each look at the clock takes so long. */
const clock = (stepMs: number) => {
  let now = 0;
  return { now: () => (now += stepMs), date: () => new Date(0) };
};
const KEEPALIVE = encodeMessage({ kind: 'keepalive' }, { fourOctetAs: true });
/** A message of this length that tells its number. */
function message(number: number, octets = 23): Buffer {
  const bytes = Buffer.alloc(octets, 255);
  bytes.writeUInt16BE(octets, 16);
  bytes[18] = 2;
  bytes.writeUInt32BE(number, 19);
  return bytes;
}

class Side {
  readonly stream = new PassThrough({ highWaterMark: 1024 * 1024 });
  readonly heard: string[] = [];
  readonly answers: Notification[] = [];
  readonly inbox: Inbox;

  constructor(name: string, turns: Turns, log: string[] = []) {
    const listener = {
      message: (bytes: Uint8Array) => {
        const text = bytes[18] === 4 ? 'keepalive' : String(Buffer.from(bytes).readUInt32BE(19));
        this.heard.push(text);
        log.push(`${name} ${text}`);
      },
      malformed: (answer: Notification) => this.answers.push(answer),
      octetsMax: () => MESSAGE_OCTETS_MAX,
    };
    this.inbox = new Inbox(this.stream as unknown as Socket, listener, turns);
  }

  async isQuiet(): Promise<void> {
    do await setImmediate();
    while (this.inbox.hasUnread || this.stream.readableLength > 0);
  }
}

test('messages come whole and in order, however the octets are cut', async () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 40 });
  const property = fc.asyncProperty(cuts, async (sizes) => {
    const side = new Side('a', new Turns(clock(1)));
    const messages = Array.from({ length: 60 }, (_, i) => message(i, 23 + ((i * 997) % 4000)));
    const all = Buffer.concat(messages);
    for (let at = 0, i = 0; at < all.length; i++) {
      const size = sizes[i % sizes.length]!;
      side.stream.write(all.subarray(at, at + size));
      at += size;
    }
    await side.isQuiet();
    assert.deepEqual(
      side.heard,
      messages.map((_, i) => String(i)),
    );
  });
  await fc.assert(property, { numRuns: 30 });
});

test('one who says much does not keep another waiting, and has to wait himself', async () => {
  const log: string[] = [];
  const turns = new Turns(clock(10));
  const [loud, quiet] = [new Side('loud', turns, log), new Side('quiet', turns, log)];
  const flood = Array.from({ length: 100 }, (_, i) => message(i, 4096));
  loud.stream.write(Buffer.concat(flood));
  quiet.stream.write(KEEPALIVE);
  await setImmediate();
  assert.equal(loud.stream.isPaused(), true);
  while (quiet.heard.length === 0) await setImmediate();
  const before = log.indexOf('quiet keepalive');
  assert.ok(before <= 8, `${before} messages before it`);
  await loud.isQuiet();
  assert.equal(loud.heard.length, flood.length);
  assert.equal(loud.stream.isPaused(), false);
});

test('what is no message ends the reading', async () => {
  const side = new Side('a', new Turns(clock(1)));
  side.stream.write(Buffer.concat([message(1), Buffer.from('GET / HTTP/1.1'), message(2)]));
  await side.isQuiet();
  side.stream.write(message(3));
  await side.isQuiet();
  assert.deepEqual(side.heard, ['1']);
  assert.deepEqual(
    side.answers.map(({ code }) => code),
    [ERROR.header],
  );
});

test('the last words before an end are read at once', async () => {
  const side = new Side('a', new Turns(clock(10)));
  side.stream.write(Buffer.concat(Array.from({ length: 12 }, (_, i) => message(i, 4096))));
  await new Promise((resolve) => process.nextTick(resolve));
  side.inbox.finish();
  assert.equal(side.heard.length, 12);
  assert.equal(side.inbox.hasUnread, false);
});
