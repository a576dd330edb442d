// What Kubernetes' objects mean for this node.
import type { Node, WholeObject } from '../../kubernetes/api.ts';
import type { Family } from '../../net/ip.ts';
import type { WantedTables } from '../../services/write/writer.io.ts';

/** What the objects mean for each address family. Pure: `services` renders, `facts` is for others. */
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
