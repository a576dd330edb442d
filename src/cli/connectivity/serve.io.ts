// The pods of the connectivity test: one answers, one calls others and prints what it found.
import { createServer, get } from 'node:http';
import { hostname } from 'node:os';
import { pause } from '../../base/pause.io.ts';
import { type Answer, type Call, type Order, PORT } from './objects.ts';

const BULK_BYTES = 1 << 20;
const CALL_MILLISECONDS = 2000;
const AGAIN_MILLISECONDS = 200;
const CALLS_AT_ONCE = 8;

/** Serves /hello, and /bulk: 1 MiB, so that packets are as big as they get. */
export function serve(): void {
  const bulk = Buffer.alloc(BULK_BYTES, 'calico-kit ');
  const server = createServer(({ url }, response) => {
    response.end(url === '/bulk' ? bulk : hostname());
  });
  // Both families where there are both.
  server.listen(PORT);
  process.once('SIGTERM', () => process.exit(0));
}

/** Makes the calls of an order, again until all do as is wanted or the time is over. */
export async function callAll(order: Order): Promise<readonly Answer[]> {
  const end = performance.now() + order.withinMilliseconds;
  const never = new AbortController().signal;
  for (;;) {
    const answers = await callOnce(order.calls);
    const isDone = answers.every(({ ok }) => ok === order.wanted);
    if (isDone || performance.now() > end) return answers;
    await pause(AGAIN_MILLISECONDS, never);
  }
}

async function callOnce(calls: readonly Call[]): Promise<readonly Answer[]> {
  const waiting = [...calls];
  const answers: Answer[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) answers.push(await call(next));
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work));
  return answers;
}

/** A connection of its own each time: one that is there already would outlive a policy. */
function call(made: Call): Promise<Answer> {
  const began = performance.now();
  const { to, path } = made;
  const done = (ok: boolean, words: string): Answer => ({
    call: made,
    ok,
    words,
    ms: Math.round(performance.now() - began),
  });
  const host = to.includes(':') ? `[${to}]` : to;
  return new Promise((resolve) => {
    const fail = (cause: Error): void => resolve(done(false, cause.message));
    const request = get(`http://${host}:${PORT}${path}`, { agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on('error', fail);
      response.on('end', () => {
        const whole = path !== '/bulk' || bytes === BULK_BYTES;
        resolve(done(whole, `${bytes} bytes`));
      });
    });
    request.on('error', fail);
    const late = setTimeout(() => request.destroy(new Error('no answer')), CALL_MILLISECONDS);
    request.on('close', () => clearTimeout(late));
  });
}
