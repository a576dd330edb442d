// Pools that ask for what this node cannot do, in words for the log, the probe and `make up`.
import type { IpPool } from '../../model/ip-pool.ts';

/** Encapsulations that this node can set up. */
export interface KernelCapabilities {
  readonly ipip: boolean;
  readonly vxlan?: boolean;
}

/** What cannot be served, why, and the way out; undefined when every pool can. */
export function encapsulationProblem(
  pools: readonly IpPool[],
  capabilities: KernelCapabilities,
): string | undefined {
  const problems = pools.flatMap(({ metadata, spec }) => {
    const asks: [string, string | undefined, boolean, string][] = [
      ['ipipMode', spec.ipipMode, capabilities.ipip, 'no IP-in-IP device (tunl0)'],
      ['vxlanMode', spec.vxlanMode, capabilities.vxlan ?? false, 'no VXLAN device'],
    ];
    return asks
      .filter(([, mode, can]) => mode !== undefined && mode !== 'Never' && !can)
      .map(
        ([field, mode, , lacking]) =>
          `IPPool ${metadata.name} (${spec.cidr}) asks for ${field} ${mode}, but this node has ` +
          `${lacking}: pods on different nodes would not reach each other; ${wayOut(field)}`,
      );
  });
  return problems.length > 0 ? problems.join('\n') : undefined;
}

const wayOut = (field: string): string =>
  field === 'ipipMode'
    ? 'set networking.settings.ippool.ipip.mode: Never where the nodes share a subnet'
    : 'set vxlanMode: Never in the pool';
