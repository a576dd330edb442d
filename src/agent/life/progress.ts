// How far the agent has come, and what is wrong: the ground of its readiness.
import type { CniContext } from '../cni/context.ts';
import type { CallGate } from '../cni/gate.ts';
import type { PolicyViews } from '../policy-engine/views.io.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import type { Recovery } from '../recovery.io.ts';
import type { NodeHost } from './host.io.ts';

export interface Progress {
  /** What the agent is waiting for, in words. */
  stage: string;
  context: CniContext | undefined;
  policy: PolicyEngine | undefined;
  /** A setting that this machine cannot serve. */
  problem: string | undefined;
  /** Of this machine: its address and MTU; from the first snapshot on. */
  host: NodeHost | undefined;
  /** Why the datastore's watch is down. */
  lost: string | undefined;
  readonly gate: CallGate;
  readonly recovery: Recovery;
  readonly views: PolicyViews;
}
