// CalicoNodeStatuses of the own node, kept up to date in the datastore: each as often as it asks, and at
// once when it is made or asks for something else.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Change, KeyValue, Store } from '../../datastore/store.ts';
import {
  type CalicoNodeStatusSpec,
  parseCalicoNodeStatus,
} from '../../model/calico-node-status.ts';
import { parseKey, resourcePrefix } from '../../model/keys.ts';
import { parseResource, printResource } from '../../model/resource.ts';
import type { Speaker } from '../speaker.io.ts';
import { nodeStatusOf } from './node-status.ts';

export interface NodeStatusesParts {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly speaker: Pick<Speaker, 'report' | 'routes' | 'identity' | 'health'>;
}

interface Asked {
  readonly spec: CalicoNodeStatusSpec;
  item: KeyValue;
  timer: NodeJS.Timeout | undefined;
}

export class NodeStatuses {
  private readonly parts: NodeStatusesParts;
  private readonly asked = new Map<string, Asked>();
  private readonly stopping = new AbortController();
  private readonly startedAt: Date;

  constructor(parts: NodeStatusesParts) {
    this.parts = parts;
    this.startedAt = parts.clock.date();
    const watcher = {
      snapshot: ({ items }: { readonly items: readonly KeyValue[] }) => {
        const present = new Set(items.map(({ key }) => key));
        for (const key of [...this.asked.keys()]) if (!present.has(key)) this.forget(key);
        for (const item of items) this.put(item);
      },
      changes: (changes: readonly Change[]) => {
        for (const change of changes)
          if (change.kind === 'put') this.put(change.item);
          else this.forget(change.key);
      },
    };
    parts.store.watch(resourcePrefix('caliconodestatuses'), watcher, this.stopping.signal);
  }

  close(): void {
    this.stopping.abort();
    for (const key of [...this.asked.keys()]) this.forget(key);
  }

  private put(item: KeyValue): void {
    const spec = this.specOf(item);
    const before = this.asked.get(item.key);
    if (before && spec && JSON.stringify(spec) === JSON.stringify(before.spec)) {
      // What we wrote ourselves, as a rule.
      if (item.revision > before.item.revision) before.item = item;
      return;
    }
    this.forget(item.key);
    if (!spec || spec.node !== this.parts.speaker.report.node) return;
    if (spec.updatePeriodSeconds === 0) return;
    const asked: Asked = { spec, item, timer: undefined };
    this.asked.set(item.key, asked);
    void this.update(asked);
  }

  private specOf({ key, value }: KeyValue): CalicoNodeStatusSpec | undefined {
    const parsed = parseResource('CalicoNodeStatus', value);
    const id = parseKey(key);
    const name = id?.kind === 'resource' ? id.name : key;
    const spec = parsed.ok ? parseCalicoNodeStatus(name, parsed.value.spec as never) : parsed;
    if (!spec.ok) this.parts.log.error({ problem: spec.error }, 'object skipped');
    return spec.ok ? spec.value : undefined;
  }

  private forget(key: string): void {
    clearTimeout(this.asked.get(key)?.timer);
    this.asked.delete(key);
  }

  // Where somebody changed it meanwhile, the next time is soon enough.
  private async update(asked: Asked): Promise<void> {
    const { store, log, clock, speaker } = this.parts;
    const { spec, item } = asked;
    try {
      const parsed = parseResource('CalicoNodeStatus', item.value);
      if (!parsed.ok) return;
      const status = nodeStatusOf(spec.classes, {
        report: speaker.report,
        routes: spec.classes.includes('Routes') ? speaker.routes() : [],
        routerId: speaker.identity.routerId,
        ready: speaker.health.ready,
        startedAt: this.startedAt,
        now: clock.date(),
      });
      const value = printResource({ ...parsed.value, status } as never);
      const { key, revision } = item;
      const write = { kind: 'put', key, value } as const;
      const result = await store.transaction([{ key, revision }], [write]);
      if (result.kind === 'committed') asked.item = { key, value, revision: result.revision };
      else asked.item = result.current[0] ?? item;
    } catch (cause) {
      log.warn({ key: item.key, cause: messageOf(cause) }, 'the status was not written');
    }
    if (this.asked.get(item.key) !== asked) return;
    asked.timer = setTimeout(() => void this.update(asked), spec.updatePeriodSeconds * 1000);
  }
}
