// The chains of guarded host interfaces in three tables: raw before connection tracking, mangle before
// DNAT (and again, for what the host sends, after it), filter for the rest.
import type { Family } from '../../net/ip.ts';
import { ANY_INTERFACE, type GuardedInterface } from '../active/host-endpoints.ts';
import { type MarkBits, markBits } from '../mark-bits.ts';
import type { Failsafes } from '../read/failsafes.ts';
import type { Policy } from '../read/resources.ts';
import type { RuleSettings } from '../read/rule-settings.ts';
import { dispatch } from './dispatch-chains.ts';
import { type ChainKind, endpointChains } from './endpoint-chains.ts';
import { FAILSAFE_CHAIN, failsafeChain } from './failsafe-chains.ts';
import type { FilterRenderer } from './filter-chains.ts';
import { goto, inInterface, outInterface, RETURN, type Verdicts, verdictsOf } from './fragments.ts';
import { type Direction, limitedName } from './names.ts';
import { type DefaultAction, tiersOf } from './policy-tiers.ts';
import { type Chain, type RenderedChain, type Rule, renderChain } from './rule.ts';

export type HostTable = 'raw' | 'mangle' | 'filter';

/** One of the chains that an interface has. */
interface Kind {
  readonly table: HostTable;
  readonly kind: ChainKind;
  /** Ingress: packets that come in by the interface. */
  readonly direction: Direction;
  readonly prefix: string;
  /** Leads to the chain. */
  readonly root: string;
}

const KINDS: readonly Kind[] = [
  kind('filter', 'normal', 'ingress', 'fh', 'from-host-endpoint'),
  kind('filter', 'normal', 'egress', 'th', 'to-host-endpoint'),
  kind('filter', 'forward', 'ingress', 'fhfw', 'from-hep-forward'),
  kind('filter', 'forward', 'egress', 'thfw', 'to-hep-forward'),
  kind('mangle', 'preDnat', 'ingress', 'fh', 'from-host-endpoint'),
  kind('mangle', 'normal', 'egress', 'th', 'to-host-endpoint'),
  kind('raw', 'untracked', 'ingress', 'fh', 'from-host-endpoint'),
  kind('raw', 'untracked', 'egress', 'th', 'to-host-endpoint'),
];

function kind(
  table: HostTable,
  kind: ChainKind,
  direction: Direction,
  prefix: string,
  root: string,
): Kind {
  return { table, kind, direction, prefix: `cali-${prefix}-`, root: `cali-${root}` };
}

const APPLIES: Readonly<Record<ChainKind, (policy: Policy) => boolean>> = {
  normal: ({ use }) => use === 'normal',
  forward: ({ use, applyOnForward }) => use === 'normal' && applyOnForward,
  preDnat: ({ use }) => use === 'preDnat',
  untracked: ({ use }) => use === 'untracked',
};

export interface HostRendering {
  readonly guarded: readonly GuardedInterface[];
  readonly failsafes: Failsafes;
  readonly family: Family;
  readonly defaultAction: DefaultAction;
  readonly rules: RuleSettings;
  readonly logDenied?: boolean;
  /** Makes and keeps the policies' and profiles' chains. */
  readonly renderer: Pick<FilterRenderer, 'policy' | 'profile'>;
}

/** By table, the chains by name. Only chains that some rule jumps to are there. */
export function hostChains(
  rendering: HostRendering,
): Readonly<Record<HostTable, ReadonlyMap<string, RenderedChain>>> {
  const of = (table: HostTable): ReadonlyMap<string, RenderedChain> => {
    const chains = new Map<string, RenderedChain>();
    for (const kind of KINDS)
      if (kind.table === table)
        for (const chain of chainsOf(kind, rendering)) chains.set(chain.name, chain);
    return chains;
  };
  return { raw: of('raw'), mangle: of('mangle'), filter: of('filter') };
}

function chainsOf(kind: Kind, rendering: HostRendering): readonly RenderedChain[] {
  const { table, direction } = kind;
  const { failsafes, family } = rendering;
  const bits = markBits(rendering.rules.markMask);
  const interfaces = rendering.guarded.filter((one) => concerns(kind, one));
  if (interfaces.length === 0) return [];
  const asksFailsafes = kind.kind !== 'forward';
  return [
    ...rootChains(kind, interfaces, rendering.rules).map((chain) => renderChain(chain)),
    ...(asksFailsafes ? [renderChain(failsafeChain(table, direction, family, failsafes))] : []),
    ...interfaces.flatMap((one) => interfaceChains(kind, one, bits, rendering)),
  ];
}

// The first word is asked only where there is somebody to say it. To speak of untracked packets of
// every interface is not possible (Felix refuses it too).
function concerns({ kind }: Kind, { interfaceName, policies }: GuardedInterface): boolean {
  if (kind === 'untracked' && interfaceName === ANY_INTERFACE) return false;
  const first = kind === 'untracked' || kind === 'preDnat';
  return !first || policies.some(APPLIES[kind]);
}

function rootChains(
  kind: Kind,
  interfaces: readonly GuardedInterface[],
  { interfacePrefixes }: RuleSettings,
): readonly Chain[] {
  const { table, root, direction, prefix } = kind;
  const names = interfaces.map(({ interfaceName }) => interfaceName);
  const chainOf = (name: string): string => limitedName(prefix, name);
  const skip = (prefix: string): Rule => ({
    match: outInterface(`${prefix}+`),
    action: RETURN,
    comments: ['Skip egress WHEP policy for traffic to local workload'],
  });
  const toWorkload =
    table === 'mangle' && direction === 'egress' ? interfacePrefixes.map(skip) : [];
  const end = names.includes(ANY_INTERFACE)
    ? [...toWorkload, { match: '', action: goto(chainOf(ANY_INTERFACE)) }]
    : [];
  return dispatch(
    names.filter((name) => name !== ANY_INTERFACE),
    { root, match: direction === 'ingress' ? inInterface : outInterface, chainOf, end },
  );
}

function interfaceChains(
  kind: Kind,
  { interfaceName, policies, profiles }: GuardedInterface,
  bits: MarkBits | undefined,
  { defaultAction, logDenied = false, renderer, rules }: HostRendering,
): readonly RenderedChain[] {
  const { direction } = kind;
  const applied = policies.filter(APPLIES[kind.kind]);
  const asked = kind.kind === 'normal' ? profiles : [];
  const own = endpointChains({
    name: limitedName(kind.prefix, interfaceName),
    direction,
    kind: kind.kind,
    isForwardPolicy: applied.length > 0,
    ...(kind.kind === 'forward' ? {} : { failsafeChain: FAILSAFE_CHAIN[direction] }),
    verdicts: verdictsFor(kind, rules),
    ignoresInvalid: !rules.checksInvalid,
    forbidden: {},
    tiers: tiersOf(applied, direction, defaultAction),
    profiles: asked.map(({ name }) => name),
    logDenied,
  });
  return [
    ...own.map((chain) => renderChain(chain, bits)),
    ...applied.flatMap((policy) => renderer.policy(policy, direction, kind.table) ?? []),
    ...asked.map((profile) => renderer.profile(profile, direction, kind.table)),
  ];
}

// What the host sends meets mangle last, where others may have marks to set.
function verdictsFor({ table, kind }: Kind, rules: RuleSettings): Verdicts {
  const verdicts = verdictsOf(rules, table);
  return table === 'mangle' && kind === 'normal' ? { ...verdicts, allow: RETURN } : verdicts;
}
