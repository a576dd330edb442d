// Which live connections policy denies now. The kernel asks policy only about a connection's first
// packet; what was allowed then goes on until its entry in connection tracking is gone.
import type { Ip } from '../../net/ip.ts';
import { definitionsOf } from '../active/in-use.ts';
import type { ActiveEndpoint } from '../active/local-endpoints.ts';
import type { PolicyFacts } from '../calculate.ts';
import { evaluate } from '../explain/evaluate.ts';
import type { Packet } from '../explain/packet.ts';
import type { Members } from '../members/members.ts';
import type { Endpoint } from '../read/endpoints.ts';
import { liveModel } from './live-model.ts';

/** A live connection as far as policy looks at it. */
export interface LiveFlow {
  readonly source: Ip;
  /** After DNAT. */
  readonly destination: Ip;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp: { readonly type: number; readonly code: number } | undefined;
  readonly isRelated: boolean;
}

/** What decides about an endpoint's flows, by identity: each is replaced when it changes. */
interface Decisive {
  readonly active: ActiveEndpoint;
  readonly sets: readonly Members[];
}

/** Knows of which endpoints policy, or a set that it names, has changed since it was asked last. */
export class ChangedEndpoints {
  private readonly facts: PolicyFacts;
  private readonly setIds = new WeakMap<ActiveEndpoint, readonly string[]>();
  private known = new Map<string, Decisive>();

  constructor(facts: PolicyFacts) {
    this.facts = facts;
  }

  /** Addresses of those that were there before and are decided about otherwise now. */
  take(): readonly Ip[] {
    const now = new Map<string, Decisive>();
    const changed: Ip[] = [];
    for (const [key, endpoint] of this.facts.stored()) {
      const active = this.facts.endpoint(key);
      if (!active) continue;
      const decisive = { active, sets: this.setsOf(active) };
      const before = this.known.get(key);
      now.set(key, decisive);
      if (before && !isSame(before, decisive)) changed.push(...addressesOf(endpoint));
    }
    this.known = now;
    return changed;
  }

  private setsOf(active: ActiveEndpoint): readonly Members[] {
    const ids = this.setIds.get(active) ?? [...definitionsOf([active]).keys()];
    this.setIds.set(active, ids);
    return ids.flatMap((id) => [
      this.facts.index.members(id, 4),
      ...(active.hasIpv6 ? [this.facts.index.members(id, 6)] : []),
    ]);
  }
}

const isSame = (a: Decisive, b: Decisive): boolean =>
  a.active === b.active &&
  a.sets.length === b.sets.length &&
  a.sets.every((s, i) => s === b.sets[i]);

/** An endpoint's own addresses, without prefixes. */
const addressesOf = ({ members }: Endpoint): readonly Ip[] =>
  members.filter((member): member is Ip => !member.includes('/'));

/**
 * Answers whether a connection would be denied if it began now, as long as nothing changes. Never
 * asked about: what the host itself (`own` addresses) sends to its pods.
 */
export function denierOf(
  facts: PolicyFacts,
  own: ReadonlySet<string>,
): (flow: LiveFlow) => boolean {
  const model = liveModel(facts);
  const local = new Map<string, Endpoint>();
  for (const [, endpoint] of facts.stored())
    for (const address of addressesOf(endpoint)) local.set(address, endpoint);
  return ({ isRelated, ...flow }) => {
    if (isRelated) return false;
    const packet = packetOf(flow);
    const source = local.get(flow.source);
    if (source && evaluate(model, source, 'egress', packet).verdict === 'deny') return true;
    const destination = own.has(flow.source) ? undefined : local.get(flow.destination);
    if (!destination) return false;
    return evaluate(model, destination, 'ingress', packet).verdict === 'deny';
  };
}

const packetOf = (flow: Omit<LiveFlow, 'isRelated'>): Packet => ({
  source: flow.source,
  destination: flow.destination,
  protocol: String(flow.protocol),
  ...(flow.sourcePort > 0 || flow.destinationPort > 0
    ? { sourcePort: flow.sourcePort, destinationPort: flow.destinationPort }
    : {}),
  ...(flow.icmp ? { icmp: flow.icmp } : {}),
});
