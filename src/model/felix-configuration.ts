// FelixConfiguration: the policy engine's settings, `default` and `node.<name>`.
import type { Resource } from './resource.ts';

export interface FelixConfigurationSpec {
  readonly ipipEnabled?: boolean;
  /** MTU of the IP-in-IP device in bytes; absent: found by the policy engine. */
  readonly ipipMTU?: number;
  readonly logSeverityScreen?: string;
  readonly reportingInterval?: string;
  readonly defaultEndpointToHostAction?:
    | 'Drop'
    | 'Return'
    | 'Accept'
    | 'DROP'
    | 'RETURN'
    | 'ACCEPT';
  /** Whether pods may ask to send from addresses that are not theirs; absent: Disabled. */
  readonly workloadSourceSpoofing?: 'Disabled' | 'Any';
}

export type FelixConfiguration = Resource<'FelixConfiguration', FelixConfigurationSpec>;
