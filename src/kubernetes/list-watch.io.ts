// List, then watch from there, for ever: resume at the last resource version, bookmarks keep it
// fresh, a version that is gone (410) lists anew. Silence ends a watch, so that a dead connection is
// noticed.
import type { IncomingMessage } from 'node:http';
import { messageOf, OpError } from '../base/op-error.ts';
import { pause } from '../base/pause.io.ts';
import type { KindWatcher, Metadata } from './api.ts';
import { type Credentials, openResponse, readBody, StatusError } from './connection.io.ts';

const PAGE = 500;
const WATCH_SECONDS = 240;
const SILENCE_MILLISECONDS = (WATCH_SECONDS + 15) * 1000;
const RETRY_FIRST_MILLISECONDS = 200;
const RETRY_MAX_MILLISECONDS = 10_000;
/** A watch that ends sooner counts as a failure: the next one waits. */
const WATCH_MILLISECONDS_MIN = 1000;
const GONE = 410;

interface Identified {
  readonly metadata: Metadata;
}

interface ListPage<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[];
}

interface WatchEvent<T> {
  readonly type: string;
  readonly object: T & { readonly code?: number; readonly message?: string };
}

export interface Followed<T> {
  readonly credentials: Credentials;
  /** e.g. `/api/v1/pods`. */
  readonly path: string;
  readonly fieldSelector: string | undefined;
  /** Keeps what is used of an object. */
  readonly trim: (object: T) => T;
  readonly watcher: KindWatcher<T>;
  readonly signal: AbortSignal;
}

/** Follows a kind until the signal fires. */
export async function followKind<T extends Identified>(followed: Followed<T>): Promise<void> {
  const { watcher, signal } = followed;
  let version = '';
  let wait = RETRY_FIRST_MILLISECONDS;
  let openedAt = Number.POSITIVE_INFINITY;
  const tell = connectionTeller(watcher);
  const lasted = (): boolean => performance.now() - openedAt > WATCH_MILLISECONDS_MIN;
  while (!signal.aborted) {
    openedAt = Number.POSITIVE_INFINITY;
    try {
      if (version === '') {
        const { items, resourceVersion } = await listAll(followed);
        if (signal.aborted) return;
        uncaught(() => watcher.snapshot(items));
        version = resourceVersion;
      }
      await watchFrom(followed, version, {
        opened: () => {
          openedAt = performance.now();
          tell(undefined);
        },
        seen: (latest) => {
          version = latest;
        },
      });
    } catch (cause) {
      if (signal.aborted) return;
      if (cause instanceof StatusError && cause.status === GONE) version = '';
      else tell(messageOf(cause));
    }
    if (lasted()) wait = RETRY_FIRST_MILLISECONDS;
    await pause(wait, signal);
    wait = Math.min(wait * 2, RETRY_MAX_MILLISECONDS);
  }
}

/** Says up, or down with its reason, each once until it changes. */
function connectionTeller<T>(watcher: KindWatcher<T>): (problem: string | undefined) => void {
  let said: string | undefined = 'nothing yet';
  return (problem) => {
    if (problem === said) return;
    said = problem;
    if (problem === undefined) watcher.connection?.(true);
    else watcher.connection?.(false, new Error(problem));
  };
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

function query(
  followed: { readonly path: string; readonly fieldSelector: string | undefined },
  more: Record<string, string>,
): string {
  const parameters = new URLSearchParams(more);
  if (followed.fieldSelector) parameters.set('fieldSelector', followed.fieldSelector);
  return `${followed.path}?${parameters}`;
}

async function listAll<T extends Identified>(
  followed: Followed<T>,
): Promise<{ items: readonly T[]; resourceVersion: string }> {
  const { credentials, signal, trim } = followed;
  const items: T[] = [];
  for (let token = ''; ; ) {
    const path = query(followed, { limit: String(PAGE), ...(token ? { continue: token } : {}) });
    const page = JSON.parse(
      await readBody(await openResponse(credentials, { method: 'GET', path, signal })),
    ) as ListPage<T>;
    // An answer that is no list must never pass for an empty one: owners would delete everything.
    if (!page.metadata?.resourceVersion || !Array.isArray(page.items ?? []))
      throw new OpError(`GET ${followed.path}`, 'the answer is no list');
    for (const item of page.items ?? []) items.push(trim(item));
    token = page.metadata.continue ?? '';
    if (!token) return { items, resourceVersion: page.metadata.resourceVersion };
  }
}

/** Resolves when the server ends the watch in good order; rejects on a break. */
async function watchFrom<T extends Identified>(
  followed: Followed<T>,
  version: string,
  { opened, seen }: { opened(): void; seen(version: string): void },
): Promise<void> {
  const { credentials, signal } = followed;
  const path = query(followed, {
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion: version,
    timeoutSeconds: String(WATCH_SECONDS),
  });
  const response = await openResponse(credentials, {
    method: 'GET',
    path,
    signal,
    idleMilliseconds: SILENCE_MILLISECONDS,
  });
  opened();
  let rest = '';
  for await (const chunk of bodyOf(response, followed.path)) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') continue;
      if (signal.aborted) return;
      const event = JSON.parse(line) as WatchEvent<T>;
      deliver(event, followed);
      if (event.object.metadata.resourceVersion) seen(event.object.metadata.resourceVersion);
    }
  }
}

async function* bodyOf(response: IncomingMessage, path: string): AsyncGenerator<string> {
  response.setEncoding('utf8');
  try {
    yield* response as AsyncIterable<string>;
  } catch (cause) {
    throw new OpError(`watch ${path}`, cause);
  }
}

function deliver<T extends Identified>(
  { type, object }: WatchEvent<T>,
  { watcher, trim }: Followed<T>,
): void {
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      uncaught(() => watcher.put(trim(object)));
      return;
    case 'DELETED':
      uncaught(() => watcher.gone(trim(object)));
      return;
    case 'ERROR':
      throw new StatusError('watch', object.code ?? 0, object.message ?? '');
  }
}
