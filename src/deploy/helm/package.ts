// The Helm chart as texts by path, made from the constructs, the schema and the rules. Nothing
// here touches a disk; main.ts writes the files.
import { ApiObject, App, type Chart } from 'cdk8s';
import { stringify } from 'yaml';
import type { Json } from '../../base/json.ts';
import { rules } from '../../model/settings/rules.ts';
import { schemaPart, type Values } from '../../model/settings/schema.ts';
import { Calico } from '../constructs/calico.ts';
import { CalicoCleanup } from '../constructs/calico-cleanup.ts';
import { CalicoTest } from '../constructs/calico-test.ts';
import { NAMESPACE } from '../constructs/manifest.ts';
import { printChecks } from './checks.ts';
import { examples } from './examples.ts';
import { goOf } from './expr.ts';
import { printNotes, printReadme } from './notes.ts';
import { expressions, Gate, Marks } from './reading.ts';
import { printTemplate } from './template.ts';
import { printValues } from './values-text.ts';

export const VERSION = '0.1.0';

// Three hosts on one line, as a picture that needs no server.
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><path d="M12 46 32 14 52 46Z" ' +
  'fill="none" stroke="#e8762c" stroke-width="5"/><g fill="#2b4a6f"><circle cx="12" cy="46" ' +
  'r="9"/><circle cx="32" cy="14" r="9"/><circle cx="52" cy="46" r="9"/></g></svg>';

/** The chart's metadata. */
const chartMeta = {
  apiVersion: 'v2',
  name: 'calico',
  version: VERSION,
  appVersion: VERSION,
  type: 'application',
  kubeVersion: '>=1.25.0-0',
  description: 'Pod networking by routes and BGP, address management and network policy',
  keywords: ['cni', 'networking', 'bgp', 'network-policy', 'calico'],
  icon: `data:image/svg+xml;base64,${btoa(ICON)}`,
  annotations: {
    'artifacthub.io/category': 'networking',
    'artifacthub.io/license': 'Apache-2.0',
  },
};

/** All files of the chart: path within its folder, text. */
export function chartFiles(): ReadonlyMap<string, string> {
  const settings = expressions<Values>(schemaPart);
  const app = new App({ resolvers: [new Marks()] });
  const charts = [
    new Calico(app, 'calico', settings),
    new CalicoCleanup(app, 'cleanup', settings),
    new CalicoTest(app, 'test', settings),
  ];
  return new Map([
    ['Chart.yaml', stringify(chartMeta, { lineWidth: 0 })],
    ['README.md', printReadme(schemaPart)],
    ['values.yaml', printValues(schemaPart)],
    ['values.schema.json', `${JSON.stringify(schemaPart, null, 2)}\n`],
    ['templates/NOTES.txt', printNotes(settings)],
    ['templates/checks.yaml', printChecks(rules)],
    ...charts.flatMap(templatesOf),
    ...Object.entries(examples).map(([name, text]): [string, string] => [
      `ci/${name}-values.yaml`,
      text,
    ]),
  ]);
}

function templatesOf(chart: Chart): [string, string][] {
  return chart.node
    .findAll()
    .filter((node) => ApiObject.isApiObject(node))
    .map((object) => {
      const gates = object.node.scopes.filter((scope) => scope instanceof Gate);
      const conditions = gates.map((gate) => goOf(gate.condition));
      const path = `templates/${fileOf(object)}.yaml`;
      return [path, printTemplate(object.toJson() as Json, conditions)];
    });
}

// Objects of one kind may have one name in several namespaces.
function fileOf({ kind, name, metadata }: ApiObject): string {
  const { namespace } = metadata;
  const elsewhere = namespace && namespace !== NAMESPACE ? `-${namespace}` : '';
  return `${kind.toLowerCase()}-${name}${elsewhere}`;
}
