// What a table tells, and what it asks of those around it.
import type { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';

export interface TableOutputs {
  /** Whole messages for these peers. */
  send(peers: readonly string[], messages: readonly Uint8Array[]): void;
  /** False: the peer has so much to read that more must wait. */
  hasRoom(peer: string): boolean;
  /** Where packets to these prefixes go now; no next hop: nowhere, or here. */
  best?(changes: readonly LearnedPrefix[]): void;
  /** Over which interface a next hop is reached; undefined: none, or nobody knows. */
  interfaceTo?(nextHop: Ip): string | undefined;
  /** Whether there is a way to a next hop; absent: always. */
  hasWay?(nextHop: Ip): boolean;
}

/** A prefix that peers told, and where packets to it go: several next hops are equally good. */
export interface LearnedPrefix {
  readonly prefix: Cidr;
  readonly nextHops: readonly Ip[];
}

export type Progress =
  /** Nothing is left to do. */
  | 'idle'
  /** More can be done at once. */
  | 'busy'
  /** More is to be done when peers have read on. */
  | 'heldUp';
