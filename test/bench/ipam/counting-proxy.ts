// A proxy in front of etcd that counts the calls which really go over the wire, by gRPC method.
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';

export interface CountingProxy {
  readonly endpoint: string;
  /** Calls of a method such as `Txn` since the last `reset`. */
  count(method: string): number;
  reset(): void;
  close(): void;
}

export async function startCountingProxy(etcd: string): Promise<CountingProxy> {
  const counts = new Map<string, number>();
  const upstream = connect(etcd);
  upstream.on('error', () => {}); // each call tells
  const server = createServer();
  server.on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream, headers) => {
    const method = String(headers[':path']).split('/').at(-1)!;
    counts.set(method, (counts.get(method) ?? 0) + 1);
    forward(stream, headers, upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    count: (method) => counts.get(method) ?? 0,
    reset: () => counts.clear(),
    close: () => {
      upstream.destroy();
      server.close();
    },
  };
}

// Headers, body and trailers both ways; a call that breaks on one side breaks on the other.
function forward(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  upstream: ClientHttp2Session,
): void {
  const { ':authority': _authority, ...rest } = headers;
  const call = upstream.request(rest);
  let trailers: IncomingHttpHeaders = {};
  stream.on('error', () => call.close());
  stream.on('close', () => call.close());
  call.on('error', () => stream.close());
  call.on('response', ({ ':status': status, ...answer }, flags) => {
    const endStream = (flags & 1) === 1; // END_STREAM: an error without a body
    stream.respond(
      { ':status': status ?? 200, ...answer },
      { endStream, waitForTrailers: !endStream },
    );
    if (!endStream) call.pipe(stream);
  });
  call.on('trailers', (sent) => {
    trailers = sent;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.pipe(call);
}
