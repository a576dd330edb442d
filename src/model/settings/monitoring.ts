// Settings of monitoring: what Prometheus, its operator and Grafana are told.
import Type from 'typebox';
import { enumOf, integer, map, text, texts } from './parts.ts';

const enabled = (description: string) => Type.Boolean({ default: false, description });

export const monitoring = map({
  scrape: enabled('Annotate pods for a Prometheus that looks for prometheus.io/scrape'),
  kube_controllers_port: integer(
    9094,
    0,
    65535,
    'TCP port of the metrics of kube-controllers; 0: none',
  ),
  monitor: map({
    kind: enumOf(
      ['None', 'PodMonitor', 'ServiceMonitor'],
      'None',
      'Object by which Prometheus Operator finds the pods; ServiceMonitor brings its Services along',
    ),
    interval: text('30s', 'Time between two scrapes'),
    labels: texts('Labels of the monitors, by which a Prometheus selects them'),
  }),
  alerts: map({
    enabled: enabled('PrometheusRule with the alerts of RUNBOOKS.md'),
    labels: texts('Labels of the PrometheusRule'),
    runbook_url: text(
      '',
      'Address of RUNBOOKS.md where you keep it: alerts then have a runbook_url',
    ),
  }),
  dashboard: map({
    enabled: enabled('ConfigMap with the dashboard for Grafana'),
    labels: texts('Labels of the ConfigMap, by which Grafana finds it', {
      grafana_dashboard: '1',
    }),
  }),
});
