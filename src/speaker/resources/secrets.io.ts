// Secrets that sessions take their passwords from: one watch for each Secret that a resource names,
// so that the speaker may be allowed to read exactly those. What cannot be read counts as absent, and
// a session without its password is not made; a Secret that was read stays known while the
// Kubernetes API is away.
import type { Log } from '../../base/log.io.ts';
import type { KubernetesApi, Secret } from '../../kubernetes/api.ts';

/** Texts by key. */
export type SecretTexts = ReadonlyMap<string, string>;

export interface SecretsParts {
  /** Undefined: no Kubernetes API is configured, so that no Secret can be read. */
  readonly kubernetes: KubernetesApi | undefined;
  /** Where the Secrets are: the speaker's own namespace. */
  readonly namespace: string;
  readonly log: Log;
  /** A Secret changed, or it is gone. */
  readonly changed: (name: string, texts: SecretTexts | undefined) => void;
}

export class Secrets {
  private readonly parts: SecretsParts;
  private readonly watches = new Map<string, AbortController>();

  constructor(parts: SecretsParts) {
    this.parts = parts;
  }

  /** Follows these Secrets and no others. */
  follow(names: ReadonlySet<string>): void {
    for (const [name, stop] of this.watches) {
      if (names.has(name)) continue;
      stop.abort();
      this.watches.delete(name);
    }
    for (const name of names) if (!this.watches.has(name)) this.watch(name);
  }

  close(): void {
    for (const stop of this.watches.values()) stop.abort();
  }

  private watch(name: string): void {
    const { kubernetes, namespace, log, changed } = this.parts;
    const stop = new AbortController();
    this.watches.set(name, stop);
    if (!kubernetes) {
      log.error({ secret: name }, 'no Kubernetes API: the Secret cannot be read');
      return;
    }
    kubernetes.watch(
      'secrets',
      {
        snapshot: ([secret]) => changed(name, secret && textsOf(secret)),
        put: (secret) => changed(name, textsOf(secret)),
        gone: () => changed(name, undefined),
        connection: (up, error) => {
          if (!up)
            log.warn({ secret: name, namespace, cause: error?.message }, 'Secret is not followed');
        },
      },
      { namespace, fieldSelector: `metadata.name=${name}`, signal: stop.signal },
    );
  }
}

// The line end that editors and `echo` leave is no part of a password.
const textsOf = ({ data }: Secret): SecretTexts =>
  new Map(
    Object.entries(data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64')
        .toString('utf8')
        .replace(/\r?\n$/, ''),
    ]),
  );
