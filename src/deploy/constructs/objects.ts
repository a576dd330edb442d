// One object among those of a chart, to patch what no setting reaches.
import { ApiObject } from 'cdk8s';
import type { IConstruct } from 'constructs';

/** The object of this kind and name below `scope`. Throws where there is none, naming those there are. */
export function objectOf(scope: IConstruct, kind: string, name: string): ApiObject {
  const objects = scope.node.findAll().filter((node) => ApiObject.isApiObject(node));
  const found = objects.find((object) => object.kind === kind && object.name === name);
  if (found) return found;
  const known = objects.map((object) => `${object.kind} ${object.name}`).join(', ');
  throw new Error(`no ${kind} ${name} here; there are ${known}`);
}
