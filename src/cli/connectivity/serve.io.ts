// A pod of the connectivity test: answers, and calls others when it is asked to.
import { createServer, get, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { PORT } from './objects.ts';
import type { Probe, ProbeAnswer } from './plan.ts';

const BULK_BYTES = 1 << 20;
const CALL_MILLISECONDS = 2000;

/** Serves /hello, /bulk (1 MiB, so that packets are as big as they get) and /probe?to=&path=. */
export function serve(): void {
  const bulk = Buffer.alloc(BULK_BYTES, 'calico-kit ');
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://here');
    if (url.pathname === '/hello') response.end(hostname());
    else if (url.pathname === '/bulk') response.end(bulk);
    else if (url.pathname === '/probe') void answer(url, response);
    else response.writeHead(404).end();
  });
  // Both families where there are both.
  server.listen(PORT);
  process.once('SIGTERM', () => process.exit(0));
}

async function answer({ searchParams }: URL, response: ServerResponse): Promise<void> {
  const path = searchParams.get('path') === '/bulk' ? '/bulk' : '/hello';
  const called = await call({ to: searchParams.get('to') ?? '', path });
  response.end(JSON.stringify(called));
}

/** A connection of its own each time: one that is there already would outlive a policy. */
function call({ to, path }: Pick<Probe, 'to' | 'path'>): Promise<ProbeAnswer> {
  const began = performance.now();
  const done = (more: Omit<ProbeAnswer, 'ms'>): ProbeAnswer => ({
    ...more,
    ms: Math.round(performance.now() - began),
  });
  const host = to.includes(':') ? `[${to}]` : to;
  return new Promise((resolve) => {
    const fail = (cause: Error): void => resolve(done({ ok: false, words: cause.message }));
    const request = get(`http://${host}:${PORT}${path}`, { agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on('error', fail);
      response.on('end', () => {
        const whole = path !== '/bulk' || bytes === BULK_BYTES;
        resolve(done({ ok: whole, words: `${bytes} bytes` }));
      });
    });
    request.on('error', fail);
    const late = setTimeout(() => request.destroy(new Error('no answer')), CALL_MILLISECONDS);
    request.on('close', () => clearTimeout(late));
  });
}
