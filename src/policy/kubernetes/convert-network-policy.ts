// Kubernetes NetworkPolicy -> Calico NetworkPolicy `knp.default.<name>`, rule for rule as Calico's own
// controller stores it. A rule that cannot be converted is left out and reported; since policies
// only allow, that closes.
import { messageOf } from '../../base/op-error.ts';
import type {
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '../../kubernetes/api.ts';
import type { EntityRule, NetworkPolicySpec, Port, Rule } from '../../model/policy.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';

export const POLICY_PREFIX = 'knp.default.';
const ORDER = 1000;
const PODS_ONLY = "projectcalico.org/orchestrator == 'k8s'";

export interface Converted {
  readonly spec: NetworkPolicySpec;
  /** Rules that were left out, and why. */
  readonly problems: readonly string[];
}

type PolicyType = 'Ingress' | 'Egress';

export function convertNetworkPolicy({ spec }: NetworkPolicy): Converted {
  const problems: string[] = [];
  const given: readonly string[] = spec.policyTypes?.length ? spec.policyTypes : ['Ingress'];
  const types = given.flatMap((type): readonly PolicyType[] =>
    type === 'Ingress' || type === 'Egress' ? [type] : [],
  );
  const selector = policySelector(spec.podSelector, problems);
  const usable = problems.length === 0;
  const ingress = (usable ? (spec.ingress ?? []) : []).flatMap((rule) =>
    rulesOf(rule.from, rule.ports, 'source', problems),
  );
  const egress = (usable ? (spec.egress ?? []) : []).flatMap((rule) =>
    rulesOf(rule.to, rule.ports, 'destination', problems),
  );
  return {
    problems,
    spec: {
      tier: 'default',
      order: ORDER,
      selector,
      types,
      ...(types.includes('Ingress') && ingress.length > 0 ? { ingress } : {}),
      ...(types.includes('Egress') && egress.length > 0 ? { egress } : {}),
    },
  };
}

// Whom it selects cannot be said: the namespace is closed rather than left open, and nothing is allowed.
function policySelector(selector: LabelSelector, problems: string[]): string {
  try {
    return selectorOf(selector, PODS_ONLY);
  } catch (cause) {
    problems.push(`podSelector: ${messageOf(cause)}`);
    return PODS_ONLY;
  }
}

type Side = 'source' | 'destination';

/** One rule per protocol and peer; no peers: any; no ports: any protocol. */
function rulesOf(
  peers: readonly NetworkPolicyPeer[] | undefined,
  ports: readonly NetworkPolicyPort[] | undefined,
  side: Side,
  problems: string[],
): readonly Rule[] {
  try {
    const entities = peers && peers.length > 0 ? peers.map(entityOf) : [{}];
    const protocols = protocolsOf(ports ?? []);
    return protocols.flatMap(({ protocol, ports: numbers }) =>
      entities.map((entity) => ruleOf(protocol, numbers, entity, side)),
    );
  } catch (cause) {
    problems.push(messageOf(cause));
    return [];
  }
}

function ruleOf(
  protocol: string | undefined,
  ports: readonly Port[],
  entity: EntityRule,
  side: Side,
): Rule {
  const destination: EntityRule = {
    ...(side === 'destination' ? entity : {}),
    ...(ports.length > 0 ? { ports } : {}),
  };
  return {
    action: 'Allow',
    ...(protocol ? { protocol } : {}),
    source: side === 'source' ? entity : {},
    destination,
  };
}

interface ProtocolPorts {
  readonly protocol: string | undefined;
  /** Empty: every port. */
  readonly ports: readonly Port[];
}

function protocolsOf(ports: readonly NetworkPolicyPort[]): readonly ProtocolPorts[] {
  if (ports.length === 0) return [{ protocol: undefined, ports: [] }];
  const grouped = new Map<string, NetworkPolicyPort[]>();
  for (const port of ports) {
    const protocol = port.protocol ?? 'TCP';
    grouped.set(protocol, [...(grouped.get(protocol) ?? []), port]);
  }
  return [...grouped]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([protocol, entries]) => ({
      protocol,
      ports: entries.some((entry) => entry.port === undefined) ? [] : mergedPorts(entries),
    }));
}

/** Numeric ports merged into ranges, named ones kept. */
function mergedPorts(entries: readonly NetworkPolicyPort[]): readonly Port[] {
  const ranges: [number, number][] = [];
  const names: string[] = [];
  for (const { port, endPort } of entries) {
    const named = typeof port === 'string' && !/^\d+$/.test(port);
    if (endPort !== undefined && (named || endPort < Number(port)))
      throw new Error(`ports ${port} to ${endPort} are no range`);
    if (named) names.push(port);
    else ranges.push([Number(port), endPort ?? Number(port)]);
  }
  const merged: [number, number][] = [];
  for (const [first, last] of ranges.sort((a, b) => a[0] - b[0])) {
    const open = merged.at(-1);
    if (open && first <= open[1] + 1) open[1] = Math.max(open[1], last);
    else merged.push([first, last]);
  }
  return [
    ...merged.map(([first, last]) => (first === last ? first : `${first}:${last}`)),
    ...names,
  ];
}

function entityOf(peer: NetworkPolicyPeer): EntityRule {
  if (peer.ipBlock) {
    const { cidr, except = [] } = peer.ipBlock;
    const notNets = except.map(prefixOf);
    return { nets: [prefixOf(cidr)], ...(notNets.length > 0 ? { notNets } : {}) };
  }
  return {
    selector: selectorOf(peer.podSelector, PODS_ONLY),
    ...(peer.namespaceSelector
      ? { namespaceSelector: selectorOf(peer.namespaceSelector, '') || 'all()' }
      : {}),
  };
}

// Host bits are cleared, as Calico's own controller does.
function prefixOf(text: string): Cidr {
  const cidr = text.includes('/') ? parseCidr(text) : undefined;
  if (!cidr) throw new Error(`ipBlock ${text} is no CIDR`);
  return cidr;
}

/** Calico's selector text of a label selector, after `first`. */
function selectorOf(selector: LabelSelector | undefined, first: string): string {
  const labels = Object.entries(selector?.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const terms = [
    ...(first ? [first] : []),
    ...labels.map(([key, value]) => `${key} == '${value}'`),
    ...(selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) =>
      expressionOf(key, operator, values),
    ),
  ];
  return terms.join(' && ');
}

function expressionOf(key: string, operator: string, values: readonly string[]): string {
  const list = values.map((value) => `'${value}'`).join(', ');
  switch (operator) {
    case 'In':
      return `${key} in { ${list} }`;
    case 'NotIn':
      return `${key} not in { ${list} }`;
    case 'Exists':
      return `has(${key})`;
    case 'DoesNotExist':
      return `! has(${key})`;
    default:
      throw new Error(`operator ${operator} of label ${key} is unknown`);
  }
}
