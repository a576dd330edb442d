// What a speaker is made from.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import type { DesiredPeer } from '../bgp/peers.ts';
import type { Store } from '../datastore/store.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import type { Ip } from '../net/ip.ts';
import type { PeeringState } from './peering.io.ts';

export interface SpeakerParts {
  readonly store: Store;
  readonly kernel: Kernel;
  /** The node's name in the datastore. */
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly holdTimeSeconds: number;
  /** Undefined: the node's IPv4 address. */
  readonly routerId?: Ip | undefined;
  /** Undefined: no Secrets, and nobody tells of a cordon. */
  readonly kubernetes?: KubernetesApi | undefined;
  /** The node's name in Kubernetes; undefined: the same. */
  readonly kubernetesNode?: string | undefined;
  /** What the environment says over FelixConfiguration `programClusterRoutes`. */
  readonly agentRoutes?: string | undefined;
  /** Where Secrets are; undefined: kube-system. */
  readonly namespace?: string | undefined;
  /** Overrides the datastore's port, own and peers' alike. */
  readonly listenPort?: number | undefined;
  /** A random number of 0 to 1. */
  readonly random: () => number;
}

export interface PeerStatus extends PeeringState {
  readonly peer: DesiredPeer;
}
