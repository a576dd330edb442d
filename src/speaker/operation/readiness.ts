// What the readiness probe says: every problem by name, sessions in the words of Calico's own probe,
// which monitoring looks for ("BIRD" is the speaker there). After the first half minute one session is
// enough, so that a dead node does not make all the others unready too. A node that says that no speaker
// runs there is not waited for: a cluster that goes over to BGP node by node would never begin.
import type { BgpNode } from '../../bgp/peers/node.ts';
import type { DesiredPeer } from '../../bgp/peers.ts';
import type { SessionState } from '../../bgp/session.ts';
import { type Family, familyOf, type Ip } from '../../net/ip.ts';

export interface SpeakerFacts {
  readonly inSync: boolean;
  readonly node: string;
  readonly self: Pick<BgpNode, 'name' | 'ipv4' | 'ipv6'> | undefined;
  readonly listenErrors: readonly string[];
  readonly peers: readonly {
    readonly peer: Pick<DesiredPeer, 'kind' | 'node' | 'address'>;
    readonly state: SessionState;
  }[];
  /** Nodes on which no speaker runs. */
  readonly silent?: ReadonlySet<string>;
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
const NOBODY: ReadonlySet<string> = new Set();

/** Those of whom somebody could answer. */
export const speaking = <P extends Pick<DesiredPeer, 'node'>>(
  peers: readonly P[],
  silent: ReadonlySet<string>,
): readonly P[] => peers.filter(({ node }) => node === undefined || !silent.has(node));

export function readinessOf(facts: SpeakerFacts): SpeakerHealth {
  const { inSync, node, self, listenErrors, upForMs, restarting = [], silent = NOBODY } = facts;
  const blocking = [
    ...(inSync ? [] : ['waiting for the first listing of the datastore']),
    ...(inSync && !self ? [`waiting for Node ${node} in the datastore`] : []),
    ...(self && !self.ipv4 && !self.ipv6 ? [`Node ${node} has no BGP address`] : []),
    ...listenErrors,
  ];
  const awaited = new Set(
    speaking(
      facts.peers.map(({ peer }) => peer),
      silent,
    ),
  );
  // Whether a pod speaks is its own affair.
  const peers = facts.peers.filter(
    ({ peer, state }) => peer.kind !== 'workload' && (state === 'established' || awaited.has(peer)),
  );
  const missing = peers
    .filter(({ state }) => state !== 'established')
    .map(({ peer }) => peer.address);
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
