// A workload endpoint's two chains: what reaches it, and what it sends. Established flows first,
// then tier by tier, then the profiles; nobody's yes means no.
import {
  ACCEPT,
  anyMarked,
  clearMark,
  connection,
  DROP,
  jump,
  MARK,
  marked,
  RETURN,
  unmarked,
} from './fragments.ts';
import {
  type Direction,
  endpointChainName,
  groupChainName,
  policyChainName,
  profileChainName,
} from './names.ts';
import type { PolicyIdentity } from './policy-chains.ts';
import type { Chain, Rule } from './rule.ts';

export interface EndpointPolicy extends PolicyIdentity {
  /** Canonical selector: neighbours with the same one always apply together. */
  readonly selectorText: string;
}

/** A tier with the policies that apply to an endpoint in one direction, in order; never empty. */
export interface EndpointTier {
  readonly name: string;
  readonly policies: readonly EndpointPolicy[];
  readonly defaultAction: 'Deny' | 'Pass';
}

export interface EndpointDirection {
  readonly interfaceName: string;
  readonly direction: Direction;
  readonly tiers: readonly EndpointTier[];
  readonly profiles: readonly string[];
}

const VXLAN_PORT = 4789;
const VERDICT = MARK.accept | MARK.pass;

/** The endpoint's chain, and the chains of its policy groups. */
export function endpointChains(endpoint: EndpointDirection): readonly Chain[] {
  const { interfaceName, direction, tiers, profiles } = endpoint;
  const groups = tiers.map((tier) => ({ tier, jumps: jumpsOf(direction, tier) }));
  const rules = [
    { match: connection('RELATED,ESTABLISHED'), action: ACCEPT },
    { match: connection('INVALID'), action: DROP },
    { match: '', action: clearMark(VERDICT) },
    ...(direction === 'egress' ? NO_ENCAPSULATION : []),
    ...groups.flatMap(({ tier, jumps }) =>
      tierRules(
        tier,
        jumps.map(({ name }) => name),
      ),
    ),
    ...profiles.flatMap((profile) => profileRules(profileChainName(direction, profile))),
    { match: '', action: DROP, comments: ['Drop if no profiles matched'] },
  ];
  const own = { name: endpointChainName(direction, interfaceName), rules };
  return [own, ...groups.flatMap(({ jumps }) => jumps.filter((chain) => chain.rules.length > 0))];
}

// A tunnel of its own would carry a workload's packets past every egress policy.
const NO_ENCAPSULATION: readonly Rule[] = [
  {
    match: `-p 17 -m multiport --destination-ports ${VXLAN_PORT}`,
    action: DROP,
    comments: ['Drop VXLAN encapped packets originating in workloads'],
  },
  {
    match: '-p 4',
    action: DROP,
    comments: ['Drop IPinIP encapped packets originating in workloads'],
  },
];

function tierRules(tier: EndpointTier, chains: readonly string[]): readonly Rule[] {
  const start = {
    match: '',
    action: clearMark(MARK.pass),
    comments: [`Start of tier ${tier.name}`],
  };
  const end = {
    match: unmarked(MARK.pass),
    action: DROP,
    comments: [`End of tier ${tier.name}. Drop if no policies passed packet`],
  };
  const policies = chains.flatMap((name): readonly Rule[] => [
    { match: unmarked(MARK.pass), action: jump(name) },
    { match: marked(MARK.accept), action: RETURN, comments: ['Return if policy accepted'] },
  ]);
  return [start, ...policies, ...(tier.defaultAction === 'Deny' ? [end] : [])];
}

const profileRules = (name: string): readonly Rule[] => [
  { match: '', action: jump(name) },
  { match: marked(MARK.accept), action: RETURN, comments: ['Return if profile accepted'] },
];

/** What the endpoint chain jumps to: a policy's chain (no rules here), or a group's chain. */
function jumpsOf(direction: Direction, { policies }: EndpointTier): readonly Chain[] {
  return groupsOf(policies).map((group) => {
    const names = group.map(({ id }) => policyChainName(direction, id));
    if (names.length === 1) return { name: names[0]!, rules: [] };
    const name = groupChainName(direction, group[0]!.selectorText, group.map(digested));
    return { name, rules: groupRules(names) };
  });
}

/** How a policy enters the digest of its group's name. */
const digested = ({ name, namespace, kind }: EndpointPolicy): string =>
  `{Name: ${name}, Namespace: ${namespace ?? ''}, Kind: ${kind}}`;

function groupsOf(policies: readonly EndpointPolicy[]): readonly (readonly EndpointPolicy[])[] {
  const groups: EndpointPolicy[][] = [];
  for (const policy of policies) {
    const last = groups.at(-1);
    if (last?.[0]?.selectorText === policy.selectorText) last.push(policy);
    else groups.push([policy]);
  }
  return groups;
}

/** Every fifth policy, one rule returns with a verdict; between them each jump asks for none. */
const RETURN_STRIDE = 5;

const groupRules = (chains: readonly string[]): readonly Rule[] =>
  chains.flatMap((name, i): readonly Rule[] => {
    if (i % RETURN_STRIDE !== 0) return [{ match: unmarked(VERDICT), action: jump(name) }];
    const back = {
      match: anyMarked(VERDICT),
      action: RETURN,
      comments: ['Return on verdict'],
    };
    return [...(i > 0 ? [back] : []), { match: '', action: jump(name) }];
  });
