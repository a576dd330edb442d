// Whether this node is about to lose its traffic: cordoned in Kubernetes, or the speaker is being
// stopped. Its routes are then told with GRACEFUL_SHUTDOWN (RFC 8326), so that others prefer any
// other way while this one still works.
import type { Log } from '../../base/log.io.ts';
import type { KubernetesApi, Node } from '../../kubernetes/api.ts';

export interface DrainingParts {
  /** Undefined: nobody tells of a cordon. */
  readonly kubernetes: KubernetesApi | undefined;
  /** The node's name in Kubernetes. */
  readonly node: string;
  readonly log: Log;
  readonly changed: (draining: boolean) => void;
}

export class Draining {
  private readonly parts: DrainingParts;
  private readonly stop = new AbortController();
  private cordoned = false;
  private stopping = false;

  constructor(parts: DrainingParts) {
    this.parts = parts;
    const { kubernetes, node, log } = parts;
    kubernetes?.watch(
      'nodes',
      {
        snapshot: ([found]) => this.heard(found),
        put: (found) => this.heard(found),
        gone: () => this.heard(undefined),
        connection: (up, error) => {
          if (!up) log.warn({ node, cause: error?.message }, 'the node is not followed');
        },
      },
      { fieldSelector: `metadata.name=${node}`, signal: this.stop.signal },
    );
  }

  get draining(): boolean {
    return this.cordoned || this.stopping;
  }

  /** The speaker is being stopped. */
  begin(): void {
    this.update({ stopping: true });
  }

  close(): void {
    this.stop.abort();
  }

  private heard(node: Node | undefined): void {
    this.update({ cordoned: node?.spec?.unschedulable ?? false });
  }

  private update({ cordoned = this.cordoned, stopping = this.stopping }): void {
    const before = this.draining;
    this.cordoned = cordoned;
    this.stopping = stopping;
    if (before === this.draining) return;
    this.parts.log.info({ cordoned, stopping }, before ? 'in service again' : 'draining');
    this.parts.changed(this.draining);
  }
}
