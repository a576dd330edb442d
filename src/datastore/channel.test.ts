// The channel against Node's own HTTP/2 server: an implementation that shares nothing with ours.
import assert from 'node:assert/strict';
import { createServer, type Http2Server, type ServerHttp2Stream, type Settings } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { type Channel, openChannel } from './channel.io.ts';
import type { Address } from './connection.io.ts';
import { encodeMessage, MessageReader } from './http2/messages.ts';
import type { Status } from './http2/stream.ts';

type Handler = (stream: ServerHttp2Stream, path: string) => void;

const CONTENT = { ':status': 200, 'content-type': 'application/grpc' };

/** Messages of the request; `tail` are the trailers of the answer. */
function reply(stream: ServerHttp2Stream, bodies: readonly Buffer[], tail: object): void {
  stream.respond(CONTENT, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...tail }));
  for (const body of bodies) stream.write(encodeMessage(body));
  stream.end();
}

function messagesOf(stream: ServerHttp2Stream, take: (message: Buffer) => void): void {
  const reader = new MessageReader();
  stream.on('data', (chunk: Buffer) => {
    for (const message of reader.messages(chunk)) take(message);
  });
}

const echo: Handler = (stream) => messagesOf(stream, (message) => reply(stream, [message], {}));

interface Served {
  readonly server: Http2Server;
  readonly address: Address;
}

async function serve(
  t: Pick<import('node:test').TestContext, 'after'>,
  handler: Handler,
  settings: Settings = {},
): Promise<Served> {
  const server = createServer({ settings });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => void sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    handler(stream, String(headers[':path']));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, address: { host: '127.0.0.1', port, isSecure: false } };
}

function channelTo(
  t: Pick<import('node:test').TestContext, 'after'>,
  ...served: readonly Pick<Served, 'address'>[]
): Channel {
  const channel = openChannel(
    served.map(({ address }) => address),
    () => ({}),
    0,
  );
  t.after(() => channel.close());
  return channel;
}

const bytes = (size: number): Buffer =>
  Buffer.from(Array.from({ length: size }, (_, i) => i % 251));

test('calls of every size, one after the other and together', async (t) => {
  const channel = channelTo(t, await serve(t, echo));
  for (const size of [0, 1, 16_379, 16_384, 70_000, 3_000_000])
    assert.deepEqual(await channel.call('/echo', bytes(size)), bytes(size), `${size}`);
  const sizes = Array.from({ length: 100 }, (_, i) => i * 997);
  const replies = await Promise.all(sizes.map((size) => channel.call('/echo', bytes(size))));
  for (const [i, got] of replies.entries()) assert.deepEqual(got, bytes(sizes[i]!));
});

test('more than both windows travels either way, and a stream goes on beyond its own', async (t) => {
  const chunk = bytes(1 << 20);
  let received = 0;
  const served = await serve(t, (stream, path) => {
    if (path === '/call') return echo(stream, path);
    reply(
      stream,
      Array.from({ length: 40 }, () => chunk),
      {},
    );
  });
  const channel = channelTo(t, served);
  const ended = Promise.withResolvers<Status>();
  channel.stream('/much', {
    message: (message) => {
      assert.ok(message.equals(chunk));
      received++;
    },
    end: ended.resolve,
  });
  assert.deepEqual(await ended.promise, { code: 0, message: '' });
  assert.equal(received, 40);
  for (let i = 0; i < 20; i++) assert.equal((await channel.call('/call', chunk)).length, 1 << 20);
});

test('a stream in both directions, and its cancellation', async (t) => {
  const closed = Promise.withResolvers<number>();
  const served = await serve(t, (stream) => {
    stream.respond(CONTENT);
    messagesOf(stream, (message) => stream.write(encodeMessage(message)));
    stream.on('close', () => closed.resolve(stream.rstCode));
  });
  const channel = channelTo(t, served);
  const seen: string[] = [];
  const three = Promise.withResolvers<void>();
  const stream = channel.stream('/both', {
    message: (message) => {
      seen.push(message.toString());
      if (seen.length === 3) three.resolve();
    },
    end: () => assert.fail('a cancelled stream is silent'),
  });
  for (const word of ['a', 'b', 'c']) stream.send(Buffer.from(word));
  await three.promise;
  assert.deepEqual(seen, ['a', 'b', 'c']);
  stream.cancel();
  assert.equal(await closed.promise, 8);
});

test('a status is told in its words; so are a reset, an HTTP status, an end without a status', async (t) => {
  const served = await serve(t, (stream, path) => {
    if (path === '/status')
      stream.respond(
        { ...CONTENT, 'grpc-status': '11', 'grpc-message': 'revision %C3%BC is %22gone%22' },
        { endStream: true },
      );
    else if (path === '/late')
      reply(stream, [bytes(9)], { 'grpc-status': '10', 'grpc-message': 'no' });
    else if (path === '/reset') stream.close(7);
    else if (path === '/proxy') stream.respond({ ':status': 503 }, { endStream: true });
    else {
      stream.respond(CONTENT);
      stream.end();
    }
  });
  const channel = channelTo(t, served);
  const call = (path: string): Promise<Buffer> => channel.call(path, bytes(3));
  await assert.rejects(call('/status'), /revision ü is "gone"/);
  await assert.rejects(call('/late'), /no/);
  await assert.rejects(call('/reset'), /reset the stream with error 7/);
  await assert.rejects(call('/proxy'), /HTTP status 503/);
  await assert.rejects(call('/other'), /ended without a status/);
});

test('a server that goes away ends what runs first, and the next call finds the next server', async (t) => {
  const pending = Promise.withResolvers<ServerHttp2Stream>();
  let sessions = 0;
  const served = await serve(t, (stream, path) => {
    if (path === '/slow') pending.resolve(stream);
    else echo(stream, path);
  });
  served.server.on('session', () => sessions++);
  const channel = channelTo(t, served);
  const told = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Status>();
  channel.stream('/slow', { message: () => told.resolve(), end: ended.resolve }).send(bytes(1));
  const stream = await pending.promise;
  stream.session?.goaway(0, stream.id!);
  stream.respond(CONTENT, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.write(encodeMessage(bytes(1)));
  await told.promise; // what was sent before it has arrived too
  assert.deepEqual(await channel.call('/echo', bytes(2)), bytes(2));
  assert.equal(sessions, 2);
  stream.end();
  assert.equal((await ended.promise).code, 0);
});

test('calls that the server had not looked at when it went away are made again elsewhere', async (t) => {
  let sessions = 0;
  const asked: string[] = [];
  const served = await serve(t, (stream, path) => {
    asked.push(`${path} ${sessions}`);
    if (sessions === 1 && stream.id !== 1) return;
    if (sessions === 1) stream.session?.goaway(0, 1);
    echo(stream, path);
  });
  served.server.on('session', () => sessions++);
  const channel = channelTo(t, served);
  const calls = [1, 2, 3].map((size) => channel.call(`/call${size}`, bytes(size)));
  assert.deepEqual(await Promise.all(calls), [bytes(1), bytes(2), bytes(3)]);
  assert.equal(sessions, 2);
  assert.deepEqual(
    asked.filter((one) => one.endsWith('2')),
    ['/call2 2', '/call3 2'],
  );
});

test('no more streams at a time than the server takes: the others wait for their turn', async (t) => {
  const running = new Set<ServerHttp2Stream>();
  let most = 0;
  const answer: Handler = (stream) =>
    messagesOf(stream, (message) => {
      most = Math.max(most, running.size);
      setImmediate(() => reply(stream, [message], {}));
    });
  const handler: Handler = (stream, path) => {
    running.add(stream);
    stream.on('close', () => running.delete(stream));
    answer(stream, path);
  };
  const served = await serve(t, handler, { maxConcurrentStreams: 2 });
  const channel = channelTo(t, served);
  const sizes = Array.from({ length: 40 }, (_, i) => i);
  // The first ones leave before the server's settings arrive: what it refuses of them is repeated.
  const answers = await Promise.all(sizes.map((size) => channel.call('/echo', bytes(size))));
  assert.deepEqual(answers, sizes.map(bytes));
  assert.equal(most, 2);
});

test('a stream that waits for its turn may be cancelled, is sent to, and ends with the connection', async (t) => {
  const first = Promise.withResolvers<ServerHttp2Stream>();
  const seen: string[] = [];
  const handler: Handler = (stream, path) => {
    seen.push(path);
    if (path === '/first') first.resolve(stream);
    else echo(stream, path);
  };
  const served = await serve(t, handler, { maxConcurrentStreams: 1 });
  const channel = channelTo(t, served);
  await channel.call('/settings', bytes(1));
  const nothing = { message() {}, end() {} };
  channel.stream('/first', nothing).send(bytes(1));
  const running = await first.promise;
  channel.stream('/cancelled', nothing).cancel();
  const told = Promise.withResolvers<Buffer>();
  const second = channel.stream('/second', { message: told.resolve, end() {} });
  second.send(bytes(5));
  const ended = Promise.withResolvers<Status>();
  channel.stream('/third', { message() {}, end: ended.resolve });
  running.close();
  assert.deepEqual(await told.promise, bytes(5));
  assert.deepEqual(seen, ['/settings', '/first', '/second']);
  running.session?.destroy();
  assert.equal((await ended.promise).code, 14);
});

test('a broken connection ends every stream, and the next call makes another', async (t) => {
  const running = Promise.withResolvers<ServerHttp2Stream>();
  const served = await serve(t, (stream, path) =>
    path === '/wait' ? running.resolve(stream) : echo(stream, path),
  );
  const channel = channelTo(t, served);
  const ended = Promise.withResolvers<Status>();
  channel.stream('/wait', { message() {}, end: ended.resolve }).send(bytes(1));
  (await running.promise).session?.destroy();
  assert.equal((await ended.promise).code, 14);
  assert.deepEqual(await channel.call('/echo', bytes(2)), bytes(2));
});

test('of several members the first that answers is asked; one that cannot serve is left', async (t) => {
  const sick = await serve(t, (stream) =>
    stream.respond(
      { ...CONTENT, 'grpc-status': '14', 'grpc-message': 'no leader' },
      { endStream: true },
    ),
  );
  const gone = { address: { host: '127.0.0.1', port: 1, isSecure: false } } as const;
  const channel = channelTo(t, gone, sick, await serve(t, echo));
  await assert.rejects(channel.call('/echo', bytes(1)), /no leader/);
  assert.deepEqual(await channel.call('/echo', bytes(1)), bytes(1));
});

test('what does not speak HTTP/2 is named, and nothing waits for a closed channel', async (t) => {
  const server = createTcpServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const channel = channelTo(t, { address: { host: '127.0.0.1', port, isSecure: false } });
  await assert.rejects(channel.call('/x', bytes(1)), /does not speak HTTP\/2/);
  channel.close();
  await assert.rejects(channel.call('/x', bytes(1)), /it is closed/);
});

test('a PING is answered, with the next request or soon', async (t) => {
  const served = await serve(t, echo);
  const sessions: import('node:http2').ServerHttp2Session[] = [];
  served.server.on('session', (session) => void sessions.push(session));
  const channel = channelTo(t, served);
  await channel.call('/echo', bytes(1));
  for (let i = 0; i < 20; i++) {
    const pong = Promise.withResolvers<Buffer>();
    const payload = Buffer.alloc(8, i);
    sessions[0]!.ping(payload, (error, _duration, answer) =>
      error ? pong.reject(error) : pong.resolve(answer),
    );
    if (i % 2 === 0) await channel.call('/echo', bytes(i));
    assert.deepEqual(await pong.promise, payload);
  }
});

test('a member by name, whichever of its addresses answers', async (t) => {
  const { address } = await serve(t, echo);
  const channel = channelTo(t, { address: { ...address, host: 'localhost' } });
  assert.deepEqual(await channel.call('/echo', bytes(70_000)), bytes(70_000));
});

test('a closed channel holds nobody: streams and calls end', async (t) => {
  const channel = channelTo(t, await serve(t, () => {}));
  const ended = Promise.withResolvers<Status>();
  channel.stream('/wait', { message() {}, end: ended.resolve });
  const call = assert.rejects(channel.call('/wait', bytes(1)), /it is closed/);
  const again = Promise.withResolvers<void>();
  setImmediate(() => {
    channel.close();
    again.resolve();
  });
  await again.promise;
  await call;
  assert.equal((await ended.promise).code, 14);
});
