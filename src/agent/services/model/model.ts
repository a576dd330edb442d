// What Kubernetes' objects mean for this node.
import type { Node, WholeObject } from '../../../kubernetes/api.ts';
import type { Family, Ip } from '../../../net/ip.ts';
import type { WantedTables } from '../../../services/write/writer.io.ts';
import type { ServedAhead } from '../ahead.io.ts';
import type { WantedHealthChecks } from '../health-checks.io.ts';
import type { UdpServices } from '../stale-flows.ts';

/** What the model knows of the machine. */
export interface Machine {
  readonly addresses: () => readonly Ip[];
  /** conntrack takes what is out of window as it comes (nf_conntrack_tcp_be_liberal). */
  readonly liberal: boolean;
}

/** The rules that follow from the objects, for each address family. */
export interface ServiceModel {
  putService(object: WholeObject): void;
  /** By `namespace/name`. */
  removeService(key: string): void;
  putSlice(object: WholeObject): void;
  removeSlice(key: string): void;
  putNode(node: Node): void;
  /** By `/name`. */
  removeNode(key: string): void;
  /** What can be served at once of the services that changed since `wanted` was last asked for; empty
   *  when these are many. */
  ahead?(family: Family): ServedAhead;
  /** As of now; the same value as long as nothing has changed. */
  wanted(family: Family): WantedTables;
}

/** What an engine's companions need beside the rules. */
export interface ServiceFacts {
  /** So many endpoints that economies are made (see render/rules.ts). */
  isLarge(family: Family): boolean;
  /** Ports of services whose traffic must stay on this node, where nobody serves them. */
  withoutLocalEndpoints(family: Family): { readonly internal: number; readonly external: number };
  /** Where UDP services are called, of both families; this and the health checks as of `wanted`. */
  udp(): UdpServices;
  healthChecks(): WantedHealthChecks;
  /** Where node ports and their health checks are served; undefined: on all addresses. */
  nodePortAddresses(family: Family): readonly Ip[] | undefined;
  /** The own node may be sent traffic: it is there, and will stay. */
  readonly isEligible: boolean;
}
