// A Helm chart as texts by path, made from constructs and the schema of their values. Nothing here
// touches a disk.
import { ApiObject, App, type Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { stringify } from 'yaml';
import type { Json } from '../../base/json.ts';
import type { SchemaPart } from '../../base/json-schema.ts';
import { type Context, helmContext } from './context.ts';
import { goOf, isMarked } from './expr.ts';
import { type Cfg, expressions, Gate, Marks } from './reading.ts';
import { printTemplate } from './template.ts';
import { printValues } from './values-text.ts';

/** Chart.yaml; the fields that Helm asks for, and any other. */
export interface ChartMeta {
  readonly name: string;
  readonly version: string;
  readonly appVersion?: string;
  readonly description?: string;
  readonly [field: string]: unknown;
}

export interface ChartParts<T> {
  readonly meta: ChartMeta;
  /** JSON Schema of the values; its defaults are values.yaml. */
  readonly schema: SchemaPart;
  /** What stands in values.schema.json, where that is another. */
  readonly printedSchema?: SchemaPart;
  /** Makes the cdk8s charts whose objects are the templates. */
  build(app: App, values: Cfg<T>, context: Context): readonly Chart[];
  /** First line of values.yaml. */
  readonly title?: string;
  /** Objects of this namespace have none in the names of their files. */
  readonly namespace?: string;
}

/** All files of a chart: path within its folder, text. Equal parts give equal bytes. */
export function chartOf<T>(parts: ChartParts<T>): ReadonlyMap<string, string> {
  const app = new App({ resolvers: [new Marks()] });
  const charts = parts.build(app, expressions<T>(parts.schema), helmContext);
  const title = parts.title ?? `Values of ${parts.meta.name}.`;
  const meta = { apiVersion: 'v2', type: 'application', ...parts.meta };
  return new Map([
    ['Chart.yaml', stringify(meta, { lineWidth: 0 })],
    ['values.yaml', printValues(parts.schema, title)],
    ['values.schema.json', `${JSON.stringify(parts.printedSchema ?? parts.schema, null, 2)}\n`],
    ...charts.flatMap((chart) => templatesOf(chart, parts.namespace)),
  ]);
}

/** The templates of everything below a construct, each under the conditions of its gates. */
function templatesOf(scope: Construct, namespace: string | undefined): [string, string][] {
  return scope.node
    .findAll()
    .filter((node) => ApiObject.isApiObject(node))
    .map((object) => {
      const gates = object.node.scopes.filter((above) => above instanceof Gate);
      const conditions = gates.map((gate) => goOf(gate.condition));
      const path = `templates/${fileOf(object, namespace)}.yaml`;
      return [path, printTemplate(object.toJson() as Json, conditions, object.node.path)];
    });
}

// Objects of one kind may have one name in several namespaces. A name that only Helm knows is none for
// a file: there the path of the construct stands.
function fileOf({ kind, name, metadata, node }: ApiObject, home: string | undefined): string {
  const { namespace } = metadata;
  if (isMarked(name) || isMarked(namespace ?? ''))
    return `${kind.toLowerCase()}-${node.path.replaceAll(/[^\w.]+/g, '-')}`;
  const elsewhere = namespace && namespace !== home ? `-${namespace}` : '';
  return `${kind.toLowerCase()}-${name}${elsewhere}`;
}
