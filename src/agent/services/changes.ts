// Changes of objects that the kernel does not hold yet.
import type { WholeObject } from '../../kubernetes/api.ts';
import type { Family } from '../../net/ip.ts';

export type ChangedKind = 'services' | 'endpoints' | 'node';

/** When the controllers saw what an EndpointSlice tells of; milliseconds of the epoch. */
export interface Trigger {
  readonly family: Family;
  readonly at: number;
}

export interface Changes {
  /** Monotonic, of the oldest; undefined: there are none. */
  readonly since: number | undefined;
  readonly services: number;
  readonly endpoints: number;
  readonly triggers: readonly Trigger[];
}

/** Kubernetes' own, by its endpointslice controller (v1.EndpointsLastChangeTriggerTime). */
const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

export class PendingChanges {
  /** Triggers before this program began tell nothing of its speed. */
  private readonly startedAt: number;
  private since: number | undefined;
  private services = 0;
  private endpoints = 0;
  private triggers: Trigger[] = [];
  /** Of the newest; milliseconds of the epoch. */
  lastAt = 0;
  /** Ever. */
  readonly total = { services: 0, endpoints: 0 };

  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  /** Takes note of objects that came or went. `now` is monotonic, `date` is not. */
  add(kind: ChangedKind, objects: readonly WholeObject[], now: number, date: number): void {
    this.since ??= now;
    this.lastAt = date;
    if (kind === 'node') return;
    this[kind] += objects.length;
    this.total[kind] += objects.length;
    for (const object of objects) {
      const at = Date.parse(object.metadata.annotations?.[TRIGGER_TIME] ?? '');
      const family = (object as { readonly addressType?: string }).addressType === 'IPv6' ? 6 : 4;
      if (at > this.startedAt) this.triggers.push({ family, at });
    }
  }

  get pending(): Changes {
    const { since, services, endpoints, triggers } = this;
    return { since, services, endpoints, triggers };
  }

  /** Those that a round is about to write. */
  take(): Changes {
    const taken = this.pending;
    this.since = undefined;
    [this.services, this.endpoints] = [0, 0];
    this.triggers = [];
    return taken;
  }

  /** The round failed. */
  putBack({ since, services, endpoints, triggers }: Changes): void {
    this.since = since ?? this.since;
    this.services += services;
    this.endpoints += endpoints;
    this.triggers.unshift(...triggers);
  }
}
