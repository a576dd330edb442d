// The pod that calls, against a server that needs a moment.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { type Call, PORT } from './objects.ts';
import { callAll } from './serve.io.ts';

const ADDRESS = '127.66.0.1';
const call = (words: string): Call => ({ to: ADDRESS, path: '/hello', words });

test('what is not as wanted is called again, and only that', async () => {
  let calls = 0;
  const server = createServer((request, response) => {
    calls++;
    if (calls === 1) request.socket.destroy();
    else response.end('hello');
  });
  server.listen(PORT, ADDRESS);
  await once(server, 'listening');
  try {
    const order = { calls: [call('a'), call('b')], wanted: true, withinMilliseconds: 10_000 };
    const answers = await callAll(order);
    assert.deepEqual(
      answers.map(({ ok }) => ok),
      [true, true],
    );
    assert.deepEqual(answers.map(({ tries }) => tries).toSorted(), [1, 2]);
    assert.equal(calls, 3);
  } finally {
    server.close();
  }
});

test('when the time is over it tells what it found', async () => {
  const order = { calls: [call('a')], wanted: true, withinMilliseconds: 0 };
  const [answer] = await callAll(order);
  assert.equal(answer?.ok, false);
  assert.match(answer?.words ?? '', /ECONNREFUSED/);
});
