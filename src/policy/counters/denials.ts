// Which policy denied a packet, by the prefix that the rules before each denial write (NFLOG).
import type { GuardedInterface } from '../active/host-endpoints.ts';
import type { ActiveEndpoint } from '../active/local-endpoints.ts';
import type { PolicyFacts } from '../calculate.ts';
import { type Direction, limitedName, policyChainName, profileChainName } from '../render/names.ts';
import { fullName } from '../render/policy-chains.ts';
import { podName } from './pod-name.ts';

/** Who denied. */
export interface Denial {
  readonly direction: Direction;
  /** Empty: profiles. */
  readonly tier: string;
  /** `NetworkPolicy ns/name`, `Profile kns.x`, `end of tier`, `no profile`. */
  readonly policy: string;
  /** From 1; absent: an end. */
  readonly rule?: number;
  /** Of an end: `namespace/pod` or the interface. */
  readonly endpoint?: string;
}

type ByChain = ReadonlyMap<string, Pick<Denial, 'direction' | 'tier' | 'policy'>>;

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];
/** Chains of packets to a workload, and of packets that come in by a host's interface. */
const INGRESS = /^cali-(?:tw|fh|fhfw)-/;

/** Remembers what the prefixes mean until policy changes. */
export class Denials {
  private readonly facts: PolicyFacts;
  private known:
    | {
        readonly endpoints: readonly ActiveEndpoint[];
        readonly guarded: readonly GuardedInterface[];
        readonly chains: ByChain;
        readonly tiers: ReadonlyMap<string, string>;
      }
    | undefined;

  constructor(facts: PolicyFacts) {
    this.facts = facts;
  }

  /** Undefined: not our prefix, or of a policy that is gone. */
  of(prefix: string): Denial | undefined {
    const [, chain = '', rest = ''] = /^(cali-\S+) (.+)$/.exec(prefix) ?? [];
    const { chains, tiers } = this.names();
    if (/^\d+$/.test(rest)) {
      const found = chains.get(chain);
      return found && { ...found, rule: Number(rest) };
    }
    const tier = /^tier (.+)$/.exec(rest)?.[1];
    if (tier === undefined && rest !== 'profiles') return undefined;
    const name = chain.replace(/^cali-[a-z]+-/, '');
    return {
      direction: INGRESS.test(chain) ? 'ingress' : 'egress',
      tier: tier === undefined ? '' : (tiers.get(tier) ?? tier),
      policy: tier === undefined ? 'no profile' : 'end of tier',
      endpoint: this.facts.interfaces().get(name) ?? name,
    };
  }

  private names(): NonNullable<Denials['known']> {
    const [endpoints, guarded] = [this.facts.endpoints(), this.facts.guarded()];
    if (this.known?.endpoints === endpoints && this.known.guarded === guarded) return this.known;
    const chains = new Map<string, Pick<Denial, 'direction' | 'tier' | 'policy'>>();
    const tiers = new Map<string, string>();
    for (const { policies, profiles } of [...endpoints, ...guarded])
      for (const direction of DIRECTIONS) {
        for (const policy of policies) {
          const { id, tier, kind } = policy;
          tiers.set(limitedName('', tier), tier);
          const who = { direction, tier, policy: `${kind} ${fullName(policy)}` };
          chains.set(policyChainName(direction, id), who);
        }
        for (const { name } of profiles)
          chains.set(profileChainName(direction, name), {
            direction,
            tier: '',
            policy: `Profile ${name}`,
          });
      }
    this.known = { endpoints, guarded, chains, tiers };
    return this.known;
  }
}

/** `namespace/pod` of every address. */
export function namesByAddress({ world }: PolicyFacts): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const [key, { members }] of world.endpoints)
    for (const member of members) names.set(member, podName(key));
  return names;
}

/** Lets through so many at a time and so many a second. */
export class TokenBucket {
  private readonly perSecond: number;
  private readonly burst: number;
  private tokens: number;
  private filledAt: number;

  constructor(perSecond: number, burst: number, nowMilliseconds: number) {
    this.perSecond = perSecond;
    this.burst = burst;
    this.tokens = burst;
    this.filledAt = nowMilliseconds;
  }

  take(nowMilliseconds: number): boolean {
    const more = ((nowMilliseconds - this.filledAt) / 1000) * this.perSecond;
    this.tokens = Math.min(this.burst, this.tokens + Math.max(0, more));
    this.filledAt = nowMilliseconds;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
