// What the kernel does for a connection of BGP, on the loopback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../base/clock.io.ts';
import { ip } from '../net/ip.ts';
import { dial, openWire } from './transport.io.ts';
import { Turns } from './turns.io.ts';

test('a peer that answers but takes nothing of what waits for it: the connection ends (RFC 9687)', async () => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const address = ip('127.0.0.1');
  let deaf: Socket | undefined;
  server.on('connection', (socket) => {
    deaf = socket;
    socket.on('error', () => undefined);
  });
  try {
    const socket = await new Promise<Socket>((resolve, reject) => {
      dial({ address, port }, resolve, (error) => reject(new Error(error)));
    });
    const ended = Promise.withResolvers<readonly [error: string, unread: boolean]>();
    const listener = {
      message: () => undefined,
      malformed: () => undefined,
      octetsMax: () => 4096,
      down: (error: string, unread: boolean) => ended.resolve([error, unread]),
    };
    const wire = openWire(socket, listener, new Turns(systemClock));
    wire.setSendHold(500);
    assert.equal(wire.send([new Uint8Array(12 * 1024 * 1024)]), true);
    const [error, unread] = await ended.promise;
    assert.match(error, /ETIMEDOUT/);
    assert.equal(unread, true);
  } finally {
    deaf?.destroy();
    server.close();
  }
});
