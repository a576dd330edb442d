// Policies as they are stored, enforced or staged, as the engine wants them.
import type { Key } from '../../model/keys.ts';
import type { GlobalNetworkPolicy } from '../../model/policy.ts';
import { parseResource } from '../../model/resource.ts';
import { printSelector } from '../../model/selector/print.ts';
import { ALL } from '../../model/selector/selector.ts';
import { policySelector } from './entity-selector.ts';
import { parseRules } from './parsed-rule.ts';
import type { Policy } from './resources.ts';
import { checkPolicySpec } from './shape.ts';
import { stagedChange } from './staged.ts';

type PolicySpec = GlobalNetworkPolicy['spec'];
type PolicyKey = Extract<Key, { kind: 'resource' | 'namespaced' }>;

// A policy that cannot be read closes what it may have selected, and admits nothing.
export function policyOf(
  kind: 'NetworkPolicy' | 'GlobalNetworkPolicy',
  key: PolicyKey,
  text: string,
): Policy {
  const namespace = key.kind === 'namespaced' ? key.namespace : undefined;
  const parsed = parseResource<string, PolicySpec>(kind, text, checkPolicySpec);
  const spec: PolicySpec = parsed.ok ? parsed.value.spec : {};
  const problems = parsed.ok ? [] : [parsed.error];
  const selector = policySelector(spec, namespace);
  if (!selector.ok) problems.push(selector.error);
  const fallback = policySelector({}, namespace);
  const value = selector.ok ? selector.value : fallback.ok ? fallback.value : ALL;
  const types = spec.types ?? ['Ingress', 'Egress'];
  const readable = parsed.ok && selector.ok;
  const rulesOf = (type: 'Ingress' | 'Egress', stored: PolicySpec['ingress']) => {
    if (readable && !types.includes(type)) return undefined;
    const { rules, problems: wrong } = parseRules(readable ? stored : [], namespace);
    problems.push(...wrong.map((problem) => `${type} ${problem}`));
    return rules;
  };
  const policy: Policy = {
    id: namespace === undefined ? `gnp/${key.name}` : `np/${namespace}/${key.name}`,
    kind,
    name: key.name,
    namespace,
    tier: spec.tier ?? 'default',
    use: spec.doNotTrack ? 'untracked' : spec.preDNAT ? 'preDnat' : 'normal',
    applyOnForward: spec.applyOnForward ?? false,
    isStaged: false,
    order: spec.order ?? Number.POSITIVE_INFINITY,
    selector: value,
    selectorText: printSelector(value),
    ingress: rulesOf('Ingress', spec.ingress),
    egress: rulesOf('Egress', spec.egress),
    problems,
  };
  return policy;
}

const STAGED_KINDS: Readonly<Record<string, string>> = {
  stagednetworkpolicies: 'StagedNetworkPolicy',
  stagedglobalnetworkpolicies: 'StagedGlobalNetworkPolicy',
  stagedkubernetesnetworkpolicies: 'StagedKubernetesNetworkPolicy',
};

// As the policy that it would become; undefined when it asks for none.
export function stagedPolicyOf(key: PolicyKey, path: string, text: string): Policy | undefined {
  const { key: enforced, value } = stagedChange(path, text) ?? {};
  if (enforced === undefined || value === undefined) return undefined;
  const policy = policyOf(
    key.kind === 'namespaced' ? 'NetworkPolicy' : 'GlobalNetworkPolicy',
    key,
    value,
  );
  const kind = STAGED_KINDS[key.plural]!;
  return { ...policy, kind, id: `${kind}/${policy.id}`, isStaged: true, problems: [] };
}
