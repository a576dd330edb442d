// What the readiness probe says: every problem by name. After the first half minute one session is
// enough, so that a dead node does not make all the others unready too.
import type { MeshNode } from '../bgp/peers.ts';
import type { SessionState } from '../bgp/session.ts';
import type { Ip } from '../net/ip.ts';

export interface SpeakerFacts {
  readonly inSync: boolean;
  readonly node: string;
  readonly self: MeshNode | undefined;
  readonly listenErrors: readonly string[];
  readonly peers: readonly { readonly address: Ip; readonly state: SessionState }[];
  readonly upForMs: number;
}

export interface SpeakerHealth {
  readonly ready: boolean;
  /** Named even when the speaker counts as ready. */
  readonly problems: readonly string[];
}

/** As Calico's own probe: all sessions in this time, one of them later. */
const ALL_SESSIONS_MS = 30_000;

export function readinessOf(facts: SpeakerFacts): SpeakerHealth {
  const { inSync, node, self, listenErrors, peers, upForMs } = facts;
  const blocking = [
    ...(inSync ? [] : ['waiting for the first listing of the datastore']),
    ...(inSync && !self ? [`waiting for Node ${node} in the datastore`] : []),
    ...(self && !self.ipv4 && !self.ipv6 ? [`Node ${node} has no BGP address`] : []),
    ...listenErrors,
  ];
  const missing = peers.filter(({ state }) => state !== 'established').map((p) => p.address);
  const problems = [
    ...blocking,
    ...(missing.length > 0 ? [`BGP not established with ${missing.join(',')}`] : []),
  ];
  const enough =
    missing.length === 0 || (upForMs > ALL_SESSIONS_MS && missing.length < peers.length);
  return { ready: blocking.length === 0 && enough, problems };
}
