// `policy denied`: the newest packets that policy on this node has dropped.
import { boxTable, type Output } from '../output.ts';

/** A denied packet as the agent tells of it (/policy/denied). */
export interface DeniedFlow {
  readonly time: string;
  readonly direction: string;
  /** `namespace/pod` or an interface: whose policy it was. */
  readonly endpoint: string;
  readonly source: string;
  readonly sourceName?: string;
  readonly sourcePort?: number;
  readonly destination: string;
  readonly destinationName?: string;
  readonly destinationPort?: number;
  readonly protocol: string;
  readonly tier: string;
  readonly policy: string;
  /** From 1; absent: no rule, the end of the tier or of the profiles. */
  readonly rule?: number;
}

export interface DeniedReport {
  /** Whether the agent was told to keep them. */
  readonly enabled: boolean;
  /** How many were not kept because there were too many. */
  readonly suppressed: number;
  /** Newest last. */
  readonly flows: readonly DeniedFlow[];
}

export function policyDenied(report: DeniedReport): Output {
  if (!report.enabled)
    return {
      data: report,
      lines: ['denied packets are not logged: set FELIX_LOGDENIEDFLOWS=true in calico-node'],
      failed: true,
    };
  const rows = report.flows.map((flow) => [
    flow.time,
    endOf(flow.source, flow.sourcePort, flow.sourceName),
    endOf(flow.destination, flow.destinationPort, flow.destinationName),
    flow.protocol,
    flow.direction,
    [flow.tier, flow.policy, flow.rule && `rule ${flow.rule}`].filter(Boolean).join(' '),
  ]);
  const headings = ['TIME', 'SOURCE', 'DESTINATION', 'PROTOCOL', 'DIRECTION', 'DENIED BY'];
  const more = `${report.suppressed} more were not kept: too many at a time`;
  return {
    data: report,
    lines: [...boxTable(headings, rows), ...(report.suppressed > 0 ? [more] : [])],
  };
}

function endOf(address: string, port: number | undefined, name: string | undefined): string {
  const place =
    port === undefined ? address : `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return name ? `${name} (${place})` : place;
}
