// From the sessions that run to those that should: which end, which begin, and which go on under
// another policy. A session is ended only for a change of its own session facts.
import { type DesiredPeer, endpointOf, sessionKey } from '../peers.ts';

export interface PeersPlan {
  /** By endpoint; `replaced` begins anew at once, the others are not wanted any more. */
  readonly stop: readonly { readonly endpoint: string; readonly replaced: boolean }[];
  readonly start: readonly DesiredPeer[];
  /** Same session, other facts. */
  readonly change: readonly DesiredPeer[];
}

/** `running` by endpoint. */
export function planPeers(
  running: ReadonlyMap<string, DesiredPeer>,
  wanted: readonly DesiredPeer[],
): PeersPlan {
  const goals = new Map(wanted.map((peer) => [endpointOf(peer), peer]));
  const stays = (endpoint: string, peer: DesiredPeer): boolean => {
    const goal = goals.get(endpoint);
    return goal !== undefined && sessionKey(goal) === sessionKey(peer);
  };
  const ended = [...running].filter(([endpoint, peer]) => !stays(endpoint, peer));
  const stopped = new Set(ended.map(([endpoint]) => endpoint));
  const isRunning = (peer: DesiredPeer): boolean =>
    running.has(endpointOf(peer)) && !stopped.has(endpointOf(peer));
  return {
    stop: ended.map(([endpoint]) => ({ endpoint, replaced: goals.has(endpoint) })),
    start: wanted.filter((peer) => !isRunning(peer)),
    change: wanted.filter(
      (peer) =>
        isRunning(peer) && JSON.stringify(peer) !== JSON.stringify(running.get(endpointOf(peer))),
    ),
  };
}
