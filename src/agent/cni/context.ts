// What the CNI commands work with; built once in main.ts.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import type { Store } from '../../datastore/store.ts';
import type { Allocator } from '../../ipam/allocator.io.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Tables } from '../../kernel/tables.ts';
import type { Ip } from '../../net/ip.ts';
import type { LocalPods } from '../pods.io.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import type { DatastoreView } from '../view.ts';
import type { Gathered } from './del/gathered.io.ts';
import type { ReleaseJournal } from './del/journal.io.ts';
import type { LinkRemoval } from './del/link-removal.io.ts';
import type { Turns } from './turns.ts';

export interface CniContext {
  readonly node: string;
  /** MTU of pod interfaces when the configuration leaves it at 0. */
  readonly effectiveMtu: () => number;
  /** What has taken the place of an MTU of the network configuration; undefined: nothing has. */
  readonly mtuNow?: (configured: number) => number | undefined;
  readonly store: Store;
  readonly kernel: Kernel;
  readonly view: DatastoreView;
  readonly allocator: Allocator;
  readonly policy: PolicyEngine;
  /** For CHECK, which looks at what the kernel holds. */
  readonly tables: Pick<Tables, 'read'>;
  /** Absent on a machine without IPv6. */
  readonly ipv6Tables: Pick<Tables, 'read'> | undefined;
  /** Absent outside Kubernetes. */
  readonly pods: LocalPods | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** How many calls are under way. */
  readonly callCount: () => number;
  readonly turns: Turns;
  readonly removal: LinkRemoval;
  readonly journal: ReleaseJournal;
  /** Something was left undone: look after it within seconds. */
  readonly recoverSoon: () => void;
  /** A named place where a test may end the process; does nothing otherwise. */
  readonly failpoint: (name: string) => void | Promise<void>;
  /** Addresses whose conntrack entries are to go: their next owner must not inherit them. */
  readonly flows: Gathered<Ip>;
}
