// The policy engine of this node as the agent runs it.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import type { Guard } from '../../kernel/nftables/guard.io.ts';
import type { IpSets, Tables } from '../../kernel/tables.ts';
import type { Family, Ip } from '../../net/ip.ts';
import type { AgentSettings } from '../environment.ts';
import { openPolicyEngine, type PolicyEngine } from '../policy-engine.io.ts';
import type { PolicyMetrics } from './metrics.io.ts';

/** Quiet time after which surplus rules and chains are removed. */
const SETTLE_MILLISECONDS = 500;

export interface NodePolicyParts {
  readonly settings: Pick<
    AgentSettings,
    'endpointToHostAction' | 'logDeniedFlows' | 'felix' | 'guarded'
  >;
  readonly tables: Tables;
  readonly ipv6Tables: Tables | undefined;
  readonly ipSets: IpSets;
  readonly guards?: Readonly<Record<Family, Guard>> | undefined;
  readonly log: Log;
  readonly clock: Clock;
}

export const openNodePolicy = (
  { settings, tables, ipv6Tables, ipSets, guards, log, clock }: NodePolicyParts,
  { node, nodeAddress }: { readonly node: string; readonly nodeAddress: () => Ip | undefined },
  metrics: PolicyMetrics,
): PolicyEngine =>
  openPolicyEngine({
    node,
    ...metrics.countTables(tables, ipv6Tables),
    ipSets: metrics.countIpSets(ipSets),
    guards,
    guarded: settings.guarded,
    observer: metrics.observer,
    settings: {
      endpointToHostAction: settings.endpointToHostAction,
      ...(settings.felix ? { felix: settings.felix } : {}),
      ipipEnabled: 'pools',
      vxlanEnabled: 'pools',
      logDenied: settings.logDeniedFlows,
    },
    nodeAddress,
    settleMilliseconds: SETTLE_MILLISECONDS,
    log,
    clock,
  });
