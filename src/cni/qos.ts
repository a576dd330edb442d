// Limits of a pod's traffic by Calico's annotations `qos.projectcalico.org/...`, as they stand in the
// WorkloadEndpoint's spec.qosControls: bandwidth and bursts in bits (per second), minburst in bytes,
// packets, connections. Units and bounds are Calico's (what tc and xt_limit can do).
import { fail, ok, type Result } from '../base/result.ts';
import { dscpOf } from '../model/dscp.ts';
import type { QosControls } from '../model/workload-endpoint.ts';

type Annotations = Readonly<Record<string, string>>;
type Field = Exclude<keyof QosControls, 'dscp'>;
type Limit = 'Bandwidth' | 'Burst' | 'Peakrate' | 'Minburst' | 'PacketRate' | 'PacketBurst';

const PREFIX = 'qos.projectcalico.org/';
const DIRECTIONS = ['ingress', 'egress'] as const;

const BOUNDS: Readonly<Record<Limit | 'MaxConnections', readonly [least: number, most: number]>> = {
  Bandwidth: [1e3, 1e15],
  Burst: [1e3, 0xffff_ffff * 8],
  Peakrate: [1010, 1.01e15],
  Minburst: [1e3, 1e8],
  PacketRate: [1, 1e4],
  PacketBurst: [1, 1e4],
  MaxConnections: [1, 0xffff_ffff],
};
/** What means nothing without another one. */
const NEEDS: readonly (readonly [Limit, Limit])[] = [
  ['Burst', 'Bandwidth'],
  ['Peakrate', 'Bandwidth'],
  ['Minburst', 'Peakrate'],
  ['PacketBurst', 'PacketRate'],
];
const DEFAULT_BURST_BITS = 2 ** 32;
const DEFAULT_PACKET_BURST = 5;

/** Undefined without any of the annotations; an error says which one is wrong and why. */
export function qosIn(annotations: Annotations): Result<QosControls | undefined, string> {
  if (!Object.keys(annotations).some((key) => key.startsWith(PREFIX))) return ok(undefined);
  const found: { -readonly [K in keyof QosControls]: QosControls[K] } = {};
  for (const direction of DIRECTIONS) {
    for (const [limit, bounds] of Object.entries(BOUNDS)) {
      const field = `${direction}${limit}` as Field;
      const text = annotations[PREFIX + field];
      if (text === undefined) continue;
      const value = quantityIn(text);
      if (value === undefined || value < bounds[0] || value > bounds[1])
        return wrong(field, `'${text.slice(0, 40)}' is no quantity from ${bounds.join(' to ')}`);
      found[field] = value;
    }
    const problem = problemOf(direction, found, annotations);
    if (problem) return problem;
    if (found[`${direction}Bandwidth`]) found[`${direction}Burst`] ??= DEFAULT_BURST_BITS;
    if (found[`${direction}PacketRate`]) found[`${direction}PacketBurst`] ??= DEFAULT_PACKET_BURST;
  }
  const dscp = annotations[`${PREFIX}dscp`]?.trim();
  if (dscp !== undefined) {
    if (dscpOf(dscp) === undefined)
      return wrong(
        'dscp',
        `'${dscp.slice(0, 40)}' is neither 0 to 63 nor a name such as EF or AF21`,
      );
    found.dscp = /^\d/.test(dscp) ? Number(dscp) : dscp;
  }
  return ok(Object.keys(found).length > 0 ? found : undefined);
}

function problemOf(
  direction: (typeof DIRECTIONS)[number],
  found: QosControls,
  annotations: Annotations,
): Result<never, string> | undefined {
  for (const [limit, other] of NEEDS)
    if (found[`${direction}${limit}`] && !found[`${direction}${other}`])
      return wrong(`${direction}${limit}`, `it needs ${PREFIX}${direction}${other}`);
  const rate = found[`${direction}Bandwidth`] ?? 0;
  const peak = found[`${direction}Peakrate`];
  if (peak !== undefined && peak <= rate)
    return wrong(`${direction}Peakrate`, `it must be more than ${direction}Bandwidth`);
  // Both would make the one root qdisc of the interface.
  const plugins = `kubernetes.io/${direction}-bandwidth`;
  if (rate && annotations[plugins] !== undefined)
    return wrong(`${direction}Bandwidth`, `it cannot stand beside ${plugins}`);
  return undefined;
}

const wrong = (field: string, problem: string): Result<never, string> =>
  fail(`annotation ${PREFIX}${field}: ${problem}`);

const SUFFIXES: Readonly<Record<string, number>> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
};

/** Kubernetes' resource.Quantity, rounded up to a whole number. */
function quantityIn(text: string): number | undefined {
  const match = /^(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d{1,2})|([A-Za-z]{0,2}))$/.exec(text.trim());
  if (!match) return undefined;
  const [, digits = '', exponent = '', suffix = ''] = match;
  const factor = Object.hasOwn(SUFFIXES, suffix) ? SUFFIXES[suffix] : undefined;
  return factor === undefined ? undefined : Math.ceil(Number(digits + exponent) * factor);
}
