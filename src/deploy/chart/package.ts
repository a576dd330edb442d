// Calico's Helm chart as texts by path: templates from the constructs, and what comes with them.
// Nothing here touches a disk; main.ts writes the files.

import { stringify } from 'yaml';
import { rules } from '../../model/settings/rules.ts';
import { schemaPart, type Values } from '../../model/settings/schema.ts';
import { defaults } from '../../model/settings/settings.ts';
import { Calico } from '../constructs/calico.ts';
import { CalicoCertificates } from '../constructs/calico-certificates.ts';
import { CalicoCleanup } from '../constructs/calico-cleanup.ts';
import { CalicoPoolsCheck } from '../constructs/calico-pools-check.ts';
import { CalicoTest } from '../constructs/calico-test.ts';
import { NAMESPACE } from '../constructs/manifest.ts';
import { chartOf } from '../helm/package.ts';
import { expressions } from '../helm/reading.ts';
import { printRunbooks } from '../monitoring/alerts.ts';
import { boundsOf, chartSchema } from './bounds.ts';
import { printChecks } from './checks.ts';
import { examples } from './examples.ts';
import { printNotes, printReadme } from './notes.ts';

export const VERSION = '0.1.0';

// Three hosts on one line, as a picture that needs no server.
const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><path d="M12 46 32 14 52 46Z" ' +
  'fill="none" stroke="#e8762c" stroke-width="5"/><g fill="#2b4a6f"><circle cx="12" cy="46" ' +
  'r="9"/><circle cx="32" cy="14" r="9"/><circle cx="52" cy="46" r="9"/></g></svg>';

/** The chart's metadata. */
const chartMeta = {
  name: 'calico',
  version: VERSION,
  appVersion: VERSION,
  kubeVersion: '>=1.25.0-0',
  description: 'Pod networking by routes and BGP, address management and network policy',
  keywords: ['cni', 'networking', 'bgp', 'network-policy', 'calico'],
  icon: `data:image/svg+xml;base64,${btoa(ICON)}`,
  annotations: artifactHub(),
};

// What Artifact Hub shows beside the README (artifacthub.io/docs: Helm annotations).
function artifactHub(): Readonly<Record<string, string>> {
  const { node, kube_controllers, etcd } = defaults().images;
  const images = Object.entries({ node, 'kube-controllers': kube_controllers, etcd });
  return {
    'artifacthub.io/category': 'networking',
    'artifacthub.io/license': 'Apache-2.0',
    'artifacthub.io/operator': 'false',
    'artifacthub.io/prerelease': 'false',
    'artifacthub.io/containsSecurityUpdates': 'false',
    // The chart brings no kind of its own: Calico's resources live in etcd.
    'artifacthub.io/crds': '[]\n',
    'artifacthub.io/images': stringify(images.map(([name, image]) => ({ name, image }))),
    'artifacthub.io/changes': stringify([
      { kind: 'added', description: 'Routes and BGP, address management, policy and services' },
      { kind: 'added', description: 'Monitors, alerts with runbooks, a dashboard' },
    ]),
  };
}

/** All files of the chart: path within its folder, text. */
export function chartFiles(): ReadonlyMap<string, string> {
  const settings = expressions<Values>(schemaPart);
  const made = chartOf<Values>({
    meta: chartMeta,
    schema: schemaPart,
    printedSchema: chartSchema(schemaPart),
    title: 'Settings of calico-kit. Keys that are left out keep these values.',
    namespace: NAMESPACE,
    build: (app, values) => [
      new Calico(app, 'calico', values),
      new CalicoCertificates(app, 'certificates', values),
      new CalicoPoolsCheck(app, 'check', values),
      new CalicoCleanup(app, 'cleanup', values),
      new CalicoTest(app, 'test', values),
    ],
  });
  return new Map([
    ...made,
    ['README.md', printReadme(schemaPart)],
    ['RUNBOOKS.md', printRunbooks()],
    ['templates/NOTES.txt', printNotes(settings)],
    ['templates/checks.yaml', printChecks(rules, boundsOf(schemaPart))],
    ...Object.entries(examples).map(([name, text]): [string, string] => [
      `ci/${name}-values.yaml`,
      text,
    ]),
  ]);
}
