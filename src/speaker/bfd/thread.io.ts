// The thread that BFD runs on, so that routes, which belong to the main thread, can never make it
// late: its sockets and timers have an event loop of their own.
import { parentPort, workerData } from 'node:worker_threads';
import { defined } from '../../base/assert.ts';
import { systemClock } from '../../base/clock.io.ts';
import type { StateChange } from '../../bfd/session.ts';
import { type BfdSession, BfdSessions } from './sessions.io.ts';

/** What the main thread says. */
export type ToThread =
  | { readonly kind: 'set'; readonly sessions: readonly BfdSession[] }
  | { readonly kind: 'close' };

/** What it hears; `path` is the session's. */
export type FromThread =
  | { readonly kind: 'changed'; readonly path: string; readonly change: StateChange }
  | { readonly kind: 'trouble'; readonly path: string; readonly cause: string | undefined };

export interface ThreadOptions {
  /** Namespace of the sockets; this process's own when absent. */
  readonly netnsPath?: string | undefined;
}

const port = defined(parentPort, 'the main thread');
const say = (message: FromThread): void => port.postMessage(message);
const sessions = new BfdSessions({
  clock: systemClock,
  random: Math.random,
  changed: (path, change) => say({ kind: 'changed', path, change }),
  trouble: (path, cause) => say({ kind: 'trouble', path, cause }),
  ...(workerData as ThreadOptions),
});

port.on('message', (message: ToThread) => {
  if (message.kind === 'set') sessions.set(message.sessions);
  else void sessions.close().then(() => process.exit(0)); // of the thread alone
});
