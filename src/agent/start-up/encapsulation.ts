// Pools that ask for what this node cannot do, in words for the log, the probe and `make up`.
import type { IpPool } from '../../model/ip-pool.ts';
import { type Encapsulation, encapsulationsOf } from '../../model/mtu.ts';

/** Why this node cannot set an encapsulation up; undefined: it can. */
export type Obstacle = (encapsulation: Encapsulation) => string | undefined;

/** What cannot be served, why, and the way out; undefined when every pool can. */
export function encapsulationProblem(
  pools: readonly IpPool[],
  obstacle: Obstacle,
): string | undefined {
  const problems = pools.flatMap(({ metadata, spec }) =>
    [...encapsulationsOf([spec])].flatMap((each) => {
      const why = obstacle(each);
      const [field, mode] =
        each === 'ipip' ? ['ipipMode', spec.ipipMode] : ['vxlanMode', spec.vxlanMode];
      if (why === undefined) return [];
      return (
        `IPPool ${metadata.name} (${spec.cidr}) asks for ${field} ${mode}, but this node has ` +
        `${DEVICES[each]}: ${why}; pods on different nodes would not reach each other; ${WAY_OUT[each]}`
      );
    }),
  );
  return problems.length > 0 ? problems.join('\n') : undefined;
}

const DEVICES: Readonly<Record<Encapsulation, string>> = {
  ipip: 'no IP-in-IP device (tunl0)',
  vxlan: 'no VXLAN device (vxlan.calico)',
  vxlanV6: 'no VXLAN device (vxlan-v6.calico)',
};

const NEVER = 'Never where the nodes share a subnet';
const WAY_OUT: Readonly<Record<Encapsulation, string>> = {
  ipip: `set networking.settings.ippool.ipip.mode: ${NEVER}, or vxlan.mode`,
  vxlan: `set networking.settings.ippool.vxlan.mode: ${NEVER}`,
  vxlanV6: `set vxlanMode: ${NEVER}`,
};
