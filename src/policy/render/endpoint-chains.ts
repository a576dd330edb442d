// An endpoint's chain in one direction. Established flows first, then tier by tier, then the profiles;
// nobody's yes means no. A workload has one each for what reaches it and what it sends
// (filter-chains.ts), a host's interface several kinds (host-chains.ts).

import { MARK } from '../mark-bits.ts';
import type { Limit } from '../read/endpoints.ts';
import {
  anyMarked,
  clearMark,
  connection,
  DROP,
  FILTER_DEFAULTS,
  jump,
  marked,
  NOTRACK,
  nflog,
  notMarked,
  RETURN,
  setMark,
  TCP_RESET,
  unmarked,
  type Verdicts,
} from './fragments.ts';
import {
  type Direction,
  groupChainName,
  policyChainName,
  profileChainName,
  tierDenialPrefix,
} from './names.ts';
import type { PolicyIdentity } from './policy-chains.ts';
import type { Chain, Rule } from './rule.ts';

export interface EndpointPolicy extends PolicyIdentity {
  /** Canonical selector: neighbours with the same one always apply together. */
  readonly selectorText: string;
  /** Counts for names of groups only. */
  readonly isStaged?: boolean;
}

/** A tier with the policies that apply to an endpoint in one direction, in order; never empty. */
export interface EndpointTier {
  readonly name: string;
  readonly policies: readonly EndpointPolicy[];
  readonly defaultAction: 'Deny' | 'Pass';
}

/**
 * `normal`: the last word; `forward`: about packets that pass through a host; `preDnat` and
 * `untracked`: the first word only, what they do not decide meets the normal chain later.
 */
export type ChainKind = 'normal' | 'forward' | 'preDnat' | 'untracked';

export interface EndpointChain {
  readonly name: string;
  readonly direction: Direction;
  readonly kind: ChainKind;
  /** The kind has tiers in this or the other direction. */
  readonly isForwardPolicy?: boolean;
  /** Asked before any policy. */
  readonly failsafeChain?: string;
  /** What is done with packets; absent: as in the filter table by default. */
  readonly verdicts?: Verdicts;
  /** Packets that belong to no connection are let be. */
  readonly ignoresInvalid?: boolean;
  /** Tunnels that its packets must not carry. */
  readonly forbidden: { readonly vxlanPort?: number; readonly ipip?: boolean };
  readonly tiers: readonly EndpointTier[];
  readonly profiles: readonly string[];
  /** Of a workload's traffic. */
  readonly limit?: Limit;
  /** What nobody allowed is told (NFLOG) before it is dropped. */
  readonly logDenied?: boolean;
}

const VERDICT = MARK.accept | MARK.pass;

/** The endpoint's chain, and the chains of its policy groups. */
export function endpointChains(endpoint: EndpointChain): readonly Chain[] {
  const { name, direction, kind, tiers, profiles, failsafeChain } = endpoint;
  const { verdicts = FILTER_DEFAULTS } = endpoint;
  const told = (prefix: string): string | undefined =>
    endpoint.logDenied ? nflog(prefix) : undefined;
  const groups = tiers.map((tier) => ({ tier, jumps: jumpsOf(direction, tier) }));
  const rules = [
    ...packetLimit(direction, endpoint.limit?.packets),
    ...(kind === 'untracked' ? [] : established(verdicts, endpoint.ignoresInvalid ?? false)),
    ...connectionLimit(direction, endpoint.limit?.connections),
    ...(failsafeChain ? [{ match: '', action: jump(failsafeChain) }] : []),
    { match: '', action: clearMark(VERDICT) },
    ...noEncapsulation(endpoint.forbidden, verdicts),
    ...groups.flatMap(({ tier, jumps }) => {
      const names = jumps.map((chain) => chain.name);
      return tierRules(kind, tier, names, verdicts, told(tierDenialPrefix(name, tier.name)));
    }),
    ...(kind === 'forward' && !endpoint.isForwardPolicy ? FORWARD_ALLOWED : []),
    ...(kind === 'normal'
      ? profileRules(direction, profiles, verdicts, told(`${name} profiles`))
      : []),
  ];
  const members = groups.flatMap(({ jumps }) => jumps.filter((chain) => chain.rules.length > 0));
  return [{ name, rules }, ...members];
}

// Packets beyond the rate go before anything is known of them, those of established flows too.
function packetLimit(direction: Direction, packets: Limit['packets']): readonly Rule[] {
  if (!packets) return [];
  const mark = MARK.scratch0;
  const what = `${direction} packet rate limit`;
  const clear = { match: '', action: clearMark(mark), comments: [`Clear ${what} mark`] };
  return [
    clear,
    {
      match: `-m limit --limit ${packets.rate}/sec --limit-burst ${packets.burst}`,
      action: setMark(mark),
      comments: [`Mark packets within ${what}`],
    },
    { match: notMarked(mark), action: DROP, comments: [`Drop packets over ${what}`] },
    clear,
  ];
}

// All of the chain's connections are counted together, whoever they are with.
const connectionLimit = (direction: Direction, most: number | undefined): readonly Rule[] =>
  most === undefined
    ? []
    : [
        {
          match: `-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above ${most} --connlimit-mask 0`,
          action: TCP_RESET,
          comments: [`Reject connections over ${direction} connection limit`],
        },
      ];

// Where allowed packets go on to others' rules, those of established flows carry the accept mark.
function established({ allow, deny }: Verdicts, ignoresInvalid: boolean): readonly Rule[] {
  const match = connection('RELATED,ESTABLISHED');
  return [
    ...(allow === RETURN ? [{ match, action: setMark(MARK.accept) }] : []),
    { match, action: allow },
    ...(ignoresInvalid ? [] : [{ match: connection('INVALID'), action: deny }]),
  ];
}

// No policy speaks of forwarded packets: the host passes them on.
const FORWARD_ALLOWED: readonly Rule[] = [
  {
    match: '',
    action: setMark(MARK.accept),
    comments: ['Allow forwarded traffic by default'],
  },
  { match: '', action: RETURN, comments: ['Return for accepted forward traffic'] },
];

// A tunnel of its own would carry a workload's packets past every egress policy.
function noEncapsulation(
  { vxlanPort, ipip }: EndpointChain['forbidden'],
  { deny, denyWord }: Verdicts,
): readonly Rule[] {
  const vxlan = {
    match: `-p 17 -m multiport --destination-ports ${vxlanPort}`,
    action: deny,
    comments: [`${denyWord} VXLAN encapped packets originating in workloads`],
  };
  const comments = [`${denyWord} IPinIP encapped packets originating in workloads`];
  return [
    ...(vxlanPort === undefined ? [] : [vxlan]),
    ...(ipip ? [{ match: '-p 4', action: deny, comments }] : []),
  ];
}

function tierRules(
  kind: ChainKind,
  tier: EndpointTier,
  chains: readonly string[],
  { deny, denyWord }: Verdicts,
  tell: string | undefined,
): readonly Rule[] {
  const start = {
    match: '',
    action: clearMark(MARK.pass),
    comments: [`Start of tier ${tier.name}`],
  };
  const end = {
    match: unmarked(MARK.pass),
    action: deny,
    comments: [`End of tier ${tier.name}. ${denyWord} if no policies passed packet`],
  };
  const noTrack = { match: marked(MARK.accept), action: NOTRACK };
  const policies = chains.flatMap((name): readonly Rule[] => [
    { match: unmarked(MARK.pass), action: jump(name) },
    ...(kind === 'untracked' ? [noTrack] : []),
    { match: marked(MARK.accept), action: RETURN, comments: ['Return if policy accepted'] },
  ]);
  const lastWord = kind === 'normal' || kind === 'forward';
  const isEnforced = tier.policies.some(({ isStaged }) => !isStaged);
  if (!lastWord || !isEnforced || tier.defaultAction !== 'Deny') return [start, ...policies];
  return [start, ...policies, ...(tell ? [{ match: end.match, action: tell }] : []), end];
}

const profileRules = (
  direction: Direction,
  profiles: readonly string[],
  { deny, denyWord }: Verdicts,
  tell: string | undefined,
): readonly Rule[] => [
  ...profiles.flatMap((profile): readonly Rule[] => [
    { match: '', action: jump(profileChainName(direction, profile)) },
    { match: marked(MARK.accept), action: RETURN, comments: ['Return if profile accepted'] },
  ]),
  ...(tell ? [{ match: '', action: tell }] : []),
  { match: '', action: deny, comments: [`${denyWord} if no profiles matched`] },
];

/** What the endpoint chain jumps to: a policy's chain (no rules here), or a group's chain. */
function jumpsOf(direction: Direction, { policies }: EndpointTier): readonly Chain[] {
  return groupsOf(policies).flatMap((group): readonly Chain[] => {
    const enforced = group.filter(({ isStaged }) => !isStaged);
    const names = enforced.map(({ id }) => policyChainName(direction, id));
    if (names.length < 2) return names.map((name) => ({ name, rules: [] }));
    const name = groupChainName(direction, group[0]!.selectorText, group.map(digested));
    return [{ name, rules: groupRules(names) }];
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
