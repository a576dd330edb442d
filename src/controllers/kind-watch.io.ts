// A watch of one Kubernetes kind that remembers what keeps it from being whole, for readiness.
import type { Log } from '../base/log.io.ts';
import type { Kinds, KindWatcher, KubernetesApi } from '../kubernetes/api.ts';

export interface KindWatch {
  /** Whether the first list has come. */
  readonly inSync: boolean;
  /** Why the API server is not heard now; undefined when it is. */
  readonly problem: string | undefined;
}

interface Parts {
  readonly kubernetes: KubernetesApi;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Follows a kind until the signal fires. */
export function watchKind<K extends keyof Kinds>(
  { kubernetes, log, signal }: Parts,
  kind: K,
  watcher: KindWatcher<Kinds[K]>,
): KindWatch {
  const state = { inSync: false, problem: `waiting for the list of ${kind}` as string | undefined };
  kubernetes.watch(
    kind,
    {
      ...watcher,
      snapshot: (objects) => {
        state.inSync = true;
        watcher.snapshot(objects);
      },
      connection: (up, error) => {
        state.problem = up ? undefined : `no ${kind} from the API server: ${error?.message}`;
        if (up) log.debug({ kind }, 'watching');
        else log.warn({ kind, cause: error?.message }, 'watch lost');
      },
    },
    { signal },
  );
  return state;
}
