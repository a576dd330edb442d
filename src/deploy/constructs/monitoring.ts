// Monitoring, each part behind its switch: how Prometheus finds the pods, the alerts, the dashboard.
import { ApiObject, JsonPatch } from 'cdk8s';
import { Construct } from 'constructs';
import { beside, eq, join, not, or, when } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import { type Alert, ruleGroups } from '../monitoring/alerts.ts';
import { dashboard } from '../monitoring/dashboard.ts';
import { labelsOf, metadataOf, NAMESPACE } from './manifest.ts';
import { METRICS, NODE_PORTS, type Settings } from './settings.ts';

const OPERATOR = 'monitoring.coreos.com/v1';
const [NODE, CONTROLLERS] = ['calico-node', 'calico-kube-controllers'];
const PORTS: Readonly<Record<string, readonly string[]>> = {
  [NODE]: NODE_PORTS,
  [CONTROLLERS]: [METRICS],
};

export class Monitoring extends Construct {
  constructor(scope: Construct, id: string, { monitoring }: Settings) {
    super(scope, id);
    const { monitor, alerts, dashboard: board } = monitoring;
    only(this, 'pods', eq(monitor.kind, 'PodMonitor'), (at) => podMonitors(at, monitor));
    only(this, 'services', eq(monitor.kind, 'ServiceMonitor'), (at) => {
      serviceMonitors(at, monitor);
    });
    only(this, 'rules', alerts.enabled, (at) => {
      const rule = new ApiObject(at, 'rule', {
        apiVersion: OPERATOR,
        kind: 'PrometheusRule',
        metadata: named('calico'),
        spec: { groups: ruleGroups((alert) => runbookUrl(alert, alerts.runbook_url)) },
      });
      labelled(rule, labelsOf('calico'), alerts.labels);
    });
    only(this, 'board', board.enabled, (at) => {
      const config = new ApiObject(at, 'dashboard', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: named('calico-dashboard'),
        data: { 'calico.json': dashboard() },
      });
      labelled(config, labelsOf('calico-dashboard'), board.labels);
    });
  }
}

type Section = Settings['monitoring'];

/** An object with labels of ours and of a user. */
function labelled(
  object: ApiObject,
  ours: Readonly<Record<string, string>>,
  theirs: Section['alerts']['labels'],
): void {
  // Metadata of cdk8s takes texts one by one; a patch takes the whole map.
  const labels = JSON.parse(JSON.stringify(beside(ours, theirs)));
  object.addJsonPatch(JsonPatch.add('/metadata/labels', labels));
}

const named = (name: string) => ({ name, namespace: NAMESPACE });

const runbookUrl = ({ name }: Alert, page: Section['alerts']['runbook_url']) => ({
  runbook_url: when(not(eq(page, '')), join(page, `#${name.toLowerCase()}`)),
});

const endpoints = (app: string, { interval }: Section['monitor']) =>
  PORTS[app]!.map((port) => ({ port, interval }));

function podMonitors(scope: Construct, monitor: Section['monitor']): void {
  for (const app of [NODE, CONTROLLERS]) {
    const object = new ApiObject(scope, app, {
      apiVersion: OPERATOR,
      kind: 'PodMonitor',
      metadata: named(app),
      spec: {
        selector: { matchLabels: labelsOf(app) },
        podMetricsEndpoints: endpoints(app, monitor),
      },
    });
    labelled(object, labelsOf(app), monitor.labels);
  }
}

// Without an address: nothing but the list of pods behind it is wanted.
function serviceMonitors(scope: Construct, monitor: Section['monitor']): void {
  for (const app of [NODE, CONTROLLERS]) {
    const name = `${app}-metrics`;
    new ApiObject(scope, `${app}-service`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadataOf(name),
      spec: {
        clusterIP: 'None',
        selector: labelsOf(app),
        // The port of the pod goes by its name; this one is never asked.
        ports: PORTS[app]!.map((port, i) => ({
          name: port,
          port: 9091 + i,
          protocol: 'TCP',
          targetPort: port,
        })),
      },
    });
    const object = new ApiObject(scope, app, {
      apiVersion: OPERATOR,
      kind: 'ServiceMonitor',
      metadata: named(app),
      spec: { selector: { matchLabels: labelsOf(name) }, endpoints: endpoints(app, monitor) },
    });
    labelled(object, labelsOf(app), monitor.labels);
  }
}

/** Whether anything asks for the metrics. */
export const isMonitored = ({ monitoring }: Settings) =>
  or(monitoring.scrape, or(not(eq(monitoring.monitor.kind, 'None')), monitoring.alerts.enabled));
