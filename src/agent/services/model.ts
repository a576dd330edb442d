// What Kubernetes' objects mean for this node.
import type { Node, WholeObject } from '../../kubernetes/api.ts';
import type { Family } from '../../net/ip.ts';
import type { WantedTables } from '../../services/write/writer.io.ts';
import type { WantedHealthChecks } from './health-checks.io.ts';
import type { UdpServices } from './stale-flows.ts';

/** The rules that follow from the objects, for each address family. */
export interface ServiceModel {
  putService(object: WholeObject): void;
  /** By `namespace/name`. */
  removeService(key: string): void;
  putSlice(object: WholeObject): void;
  removeSlice(key: string): void;
  setNode(node: Node | undefined): void;
  /** As of now; the same value as long as nothing has changed. */
  wanted(family: Family): WantedTables;
}

/** What an engine's companions need beside the rules. */
export interface ServiceFacts {
  /** Where UDP services are called, of both families. */
  udp(): UdpServices;
  healthChecks(): WantedHealthChecks;
}
