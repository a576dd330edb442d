// One watch that never ends by itself: list, follow from the next revision, resume after a break,
// relist when history was compacted or when the server's revision went back (restored snapshot).
import type { Log } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import { pause } from '../base/pause.io.ts';
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

async function run(following: Following): Promise<void> {
  const { list, prefix, watcher, signal, log } = following;
  let position: Position | undefined; // undefined: list first
  let up: boolean | undefined;
  let wait = RETRY_FIRST_MILLISECONDS;
  const connected = (): void => {
    wait = RETRY_FIRST_MILLISECONDS;
    if (!up) watcher.connection?.({ up: true });
    up = true;
  };
  while (!signal.aborted) {
    try {
      if (!position) {
        const listing = await list();
        if (signal.aborted) return;
        uncaught(() => watcher.snapshot(listing));
        position = { next: listing.revision + 1n };
        connected();
      }
      const outcome = await stream(following, position, connected);
      if (outcome === 'aborted') return;
      log?.warn({ prefix, outcome }, 'watch: history is gone, listing anew');
      if (outcome !== 'compacted') uncaught(() => watcher.restored?.(outcome));
      position = undefined;
    } catch (cause) {
      if (signal.aborted) return;
      if (up !== false) {
        watcher.connection?.({ up: false, error: new OpError(`watch ${prefix}`, cause) });
      }
      up = false;
      await pause(wait, signal);
      wait = Math.min(wait * 2, RETRY_MAX_MILLISECONDS);
    }
  }
}

// A watcher that throws is a programmer's error: it ends the process and is no broken connection.
function uncaught(call: () => void): void {
  try {
    call();
  } catch (cause) {
    queueMicrotask(() => {
      throw cause;
    });
  }
}

/** Where a watch stands, kept over breaks. */
interface Position {
  /** The first revision that was not delivered. */
  next: bigint;
  clusterId?: bigint;
}

type Outcome = 'aborted' | 'compacted' | 'revision went back' | 'another cluster';

/** One stream, from the position on. Rejects on a break. */
function stream(
  { rpc, prefix, watcher, signal }: Following,
  position: Position,
  connected: () => void,
): Promise<Outcome> {
  const watch = rpc.watch();
  let abort = (): void => {};
  return new Promise<Outcome>((resolve, reject) => {
    abort = () => resolve('aborted');
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    let pending: Change[] = []; // a revision may come in fragments
    watch.on({
      data: (reply) => {
        if (signal.aborted) return;
        const lost = lostHistory(reply, position);
        if (lost) return resolve(lost);
        if (reply.canceled)
          return reject(new Error(reply.cancelReason || 'the watch was cancelled'));
        connected();
        for (const event of reply.events) pending.push(changeOf(event));
        if (reply.fragment) return;
        const changes = pending;
        pending = [];
        const revision = deliveredUpTo(reply, changes);
        if (revision !== undefined && revision >= position.next) position.next = revision + 1n;
        if (changes.length > 0) uncaught(() => watcher.changes(changes, position.next - 1n));
      },
      end: (cause) => (signal.aborted ? abort() : reject(cause)),
    });
    watch.send(createRequest(prefix, position.next));
  }).finally(() => {
    signal.removeEventListener('abort', abort);
    watch.cancel();
  });
}

/** Why the position means nothing to this server; also notes whose position it is. */
function lostHistory(reply: pb.WatchResponse, position: Position): Outcome | undefined {
  if (reply.compactRevision > 0n) return 'compacted';
  const { revision = 0n, clusterId = 0n } = reply.header ?? {};
  if (position.clusterId !== undefined && position.clusterId !== clusterId)
    return 'another cluster';
  if (revision < position.next - 1n) return 'revision went back';
  position.clusterId = clusterId;
  return undefined;
}

/**
 * Up to which revision everything is delivered. While the server catches up, its header runs ahead
 * of the events in the message: then the last event counts. Without events only a progress
 * notification says something, not the answer to the creation.
 */
function deliveredUpTo(reply: pb.WatchResponse, changes: readonly Change[]): bigint | undefined {
  const last = changes.at(-1);
  if (last) return last.kind === 'put' ? last.item.revision : last.revision;
  return reply.created ? undefined : reply.header?.revision;
}

const createRequest = (prefix: string, startRevision: bigint) =>
  ({
    requestUnion: {
      case: 'createRequest',
      value: {
        key: bytesOfKey(prefix),
        rangeEnd: endOfPrefix(prefix),
        startRevision,
        progressNotify: true,
        fragment: true,
      },
    },
  }) as const;

function changeOf(event: pb.Event): Change {
  const item = keyValueOf(event.kv!); // etcd sends the key with every event
  return event.type === 1
    ? { kind: 'delete', key: item.key, revision: item.revision }
    : { kind: 'put', item };
}
