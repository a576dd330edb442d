// The pods of the connectivity test: one answers, one calls others and prints what it found.
import { createServer, get } from 'node:http';
import { hostname } from 'node:os';
import { pause } from '../../base/pause.io.ts';
import { type Answer, type Call, type Order, PORT } from './objects.ts';

const BULK_BYTES = 1 << 20;
/** How long a call may take: longer each time, since a machine may be slow. */
const CALL_MILLISECONDS = [2000, 4000, 8000] as const;
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

/**
 * Makes the calls of an order. Routes and rules come a moment after what they are made for: what
 * is not as wanted is called again, until all are or the time is over.
 */
export async function callAll(order: Order): Promise<readonly Answer[]> {
  const end = performance.now() + order.withinMilliseconds;
  const never = new AbortController().signal;
  const answers = new Map<Call, Answer>();
  let waiting = order.calls;
  for (let tries = 1; ; tries++) {
    for (const answer of await callOnce(waiting, tries)) answers.set(answer.call, answer);
    waiting = order.calls.filter((one) => answers.get(one)?.ok !== order.wanted);
    if (waiting.length === 0 || performance.now() > end) return [...answers.values()];
    await pause(AGAIN_MILLISECONDS, never);
  }
}

async function callOnce(calls: readonly Call[], tries: number): Promise<readonly Answer[]> {
  const waiting = [...calls];
  const answers: Answer[] = [];
  const patience = CALL_MILLISECONDS[tries - 1] ?? CALL_MILLISECONDS[2];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      answers.push({ ...(await call(next, patience)), tries });
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work));
  return answers;
}

/** A connection of its own each time: one that is there already would outlive a policy. */
function call(made: Call, patience: number): Promise<Answer> {
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
    const late = setTimeout(() => request.destroy(new Error('no answer')), patience);
    request.on('close', () => clearTimeout(late));
  });
}
