// What the readiness probe says: every problem by name, so that "not ready" is never the whole text.
import type { HealthState } from '../base/health.io.ts';

export interface Readiness {
  readonly stage: string;
  readonly started: boolean;
  readonly policyProblem: string | undefined;
  readonly settingsProblem: string | undefined;
  /** Why services are not served as they should be. */
  readonly servicesProblem: string | undefined;
  readonly datastoreLocked: boolean;
  /** Another node has this one's address. */
  readonly addressProblem: string | undefined;
  /** What is wrong and stops nothing: an MTU that does not fit. */
  readonly warnings: readonly (string | undefined)[];
  /** Why the datastore's watch is down. */
  readonly datastoreLost: string | undefined;
}

export function readinessOf(facts: Readiness): HealthState {
  const problems = [
    facts.started ? undefined : facts.stage,
    facts.policyProblem && `policy: ${facts.policyProblem}`,
    facts.settingsProblem,
    facts.addressProblem,
    facts.servicesProblem && `services: ${facts.servicesProblem}`,
    facts.datastoreLost && `the datastore cannot be reached: ${facts.datastoreLost}`,
    facts.datastoreLocked
      ? 'the datastore is locked (ClusterInformation datastoreReady is false)'
      : undefined,
  ].filter((problem) => problem !== undefined);
  const warnings = facts.warnings.filter((warning) => warning !== undefined);
  return { live: true, ready: problems.length === 0, problems, warnings };
}
