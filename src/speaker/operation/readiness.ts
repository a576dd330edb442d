// What the readiness probe says: every problem by name, sessions in the words of Calico's own probe,
// which monitoring looks for ("BIRD" is the speaker there). After the first half minute one session is
// enough, so that a dead node does not make all the others unready too.
import type { BgpNode } from '../../bgp/peers/node.ts';
import type { SessionState } from '../../bgp/session.ts';
import { type Family, familyOf, type Ip } from '../../net/ip.ts';

export interface SpeakerFacts {
  readonly inSync: boolean;
  readonly node: string;
  readonly self: Pick<BgpNode, 'name' | 'ipv4' | 'ipv6'> | undefined;
  readonly listenErrors: readonly string[];
  readonly peers: readonly { readonly address: Ip; readonly state: SessionState }[];
  readonly upForMs: number;
  /** Families that wait for the peers after a restart (RFC 4724 section 4.1). */
  readonly restarting?: readonly Family[];
}

export interface SpeakerHealth {
  readonly ready: boolean;
  /** Named even when the speaker counts as ready. */
  readonly problems: readonly string[];
}

/** As Calico's own probe: all sessions in this time, one of them later. */
const ALL_SESSIONS_MS = 30_000;

export function readinessOf(facts: SpeakerFacts): SpeakerHealth {
  const { inSync, node, self, listenErrors, peers, upForMs, restarting = [] } = facts;
  const blocking = [
    ...(inSync ? [] : ['waiting for the first listing of the datastore']),
    ...(inSync && !self ? [`waiting for Node ${node} in the datastore`] : []),
    ...(self && !self.ipv4 && !self.ipv6 ? [`Node ${node} has no BGP address`] : []),
    ...listenErrors,
  ];
  const missing = peers.filter(({ state }) => state !== 'established').map((p) => p.address);
  const problems = [
    ...blocking,
    ...notEstablished(missing, 4),
    ...notEstablished(missing, 6),
    ...restarting.map((f) => `${birdOf(f)} is not ready: graceful restart in progress`),
  ];
  const all = missing.length === 0 && restarting.length === 0;
  const enough = all || (upForMs > ALL_SESSIONS_MS && missing.length < peers.length);
  return { ready: blocking.length === 0 && enough, problems };
}

function notEstablished(missing: readonly Ip[], family: Family): readonly string[] {
  const peers = missing.filter((address) => familyOf(address) === family);
  return peers.length > 0
    ? [`${birdOf(family)} is not ready: BGP not established with ${peers.join(',')}`]
    : [];
}

const birdOf = (family: Family): string => (family === 4 ? 'BIRD' : 'BIRD6');

/** The probe's answer. */
export const readinessText = ({ ready, problems }: SpeakerHealth): string =>
  problems
    .map((problem) => (ready ? problem : `calico/node is not ready: ${problem}`))
    .join('\n') || 'ready';
