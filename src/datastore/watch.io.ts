// One watch that never ends by itself: list, follow from the next revision, resume after a break,
// relist when history was compacted or when the server's revision went back (restored snapshot).
import type { Log } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import { bytesOfKey, endOfPrefix, keyValueOf } from './etcd.io.ts';
import type * as pb from './gen/etcd_pb.js';
import type { Rpc } from './rpc.io.ts';
import type { Change, Listing, Watcher } from './store.ts';

const RETRY_FIRST_MILLISECONDS = 100;
const RETRY_MAX_MILLISECONDS = 2000;

interface Following {
  readonly rpc: Rpc;
  readonly list: () => Promise<Listing>;
  readonly prefix: string;
  readonly watcher: Watcher;
  readonly signal: AbortSignal;
  readonly log: Log | undefined;
}

/** Follows until the signal fires. */
export function follow(following: Following): void {
  void run(following);
}

async function run({ rpc, list, prefix, watcher, signal, log }: Following): Promise<void> {
  let next = 0n; // 0: list first
  let up = false;
  let wait = RETRY_FIRST_MILLISECONDS;
  const connected = (): void => {
    wait = RETRY_FIRST_MILLISECONDS;
    if (!up) watcher.connection?.({ up: true });
    up = true;
  };
  while (!signal.aborted) {
    try {
      if (next === 0n) {
        const listing = await list();
        if (signal.aborted) return;
        watcher.snapshot(listing);
        next = listing.revision + 1n;
        connected();
      }
      const outcome = await stream(rpc, prefix, next, signal, (changes, revision) => {
        connected();
        if (revision >= next) next = revision + 1n;
        if (changes.length > 0) watcher.changes(changes, revision);
      });
      if (outcome !== 'aborted')
        log?.warn({ prefix, outcome }, 'watch: history is gone, listing anew');
      next = 0n;
    } catch (cause) {
      if (up) watcher.connection?.({ up: false, error: new OpError(`watch ${prefix}`, cause) });
      up = false;
      await pause(wait, signal);
      wait = Math.min(wait * 2, RETRY_MAX_MILLISECONDS);
    }
  }
}

type Deliver = (changes: readonly Change[], revision: bigint) => void;
type Outcome = 'aborted' | 'compacted' | 'revision went back';

/** One stream. Rejects on a break. */
function stream(
  rpc: Rpc,
  prefix: string,
  from: bigint,
  signal: AbortSignal,
  deliver: Deliver,
): Promise<Outcome> {
  const watch = rpc.watch();
  return new Promise<Outcome>((resolve, reject) => {
    const abort = (): void => resolve('aborted');
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    let pending: Change[] = []; // a revision may come in fragments
    watch.on({
      data: (reply) => {
        if (signal.aborted) return;
        if (reply.compactRevision > 0n) return resolve('compacted');
        if (reply.canceled)
          return reject(new Error(reply.cancelReason || 'the watch was cancelled'));
        const revision = reply.header?.revision ?? 0n;
        if (revision < from - 1n) return resolve('revision went back');
        for (const event of reply.events) pending.push(changeOf(event));
        if (reply.fragment) return;
        const changes = pending;
        pending = [];
        deliver(changes, reply.created ? from - 1n : revision);
      },
      end: (cause) => (signal.aborted ? abort() : reject(cause)),
    });
    watch.send({
      requestUnion: {
        case: 'createRequest',
        value: {
          key: bytesOfKey(prefix),
          rangeEnd: endOfPrefix(prefix),
          startRevision: from,
          progressNotify: true,
          fragment: true,
        },
      },
    });
  }).finally(() => watch.cancel());
}

function changeOf(event: pb.Event): Change {
  const item = keyValueOf(event.kv!); // etcd sends the key with every event
  return event.type === 1
    ? { kind: 'delete', key: item.key, revision: item.revision }
    : { kind: 'put', item };
}

const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
