// One construct, read twice: the example of this folder's README, which tests run.
import { ApiObject, App, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import {
  type Cfg,
  type Context,
  chartOf,
  each,
  given,
  join,
  list,
  nameOf,
  only,
  plainContext,
  recommendedLabels,
  type SchemaPart,
  str,
  sub,
  when,
} from './index.ts';

export interface Values {
  readonly mtu: number;
  readonly debug: boolean;
  readonly peers: readonly { readonly ip: string; readonly asn: number; readonly port?: number }[];
  readonly tolerations: readonly object[];
}

export const schema: SchemaPart = {
  type: 'object',
  additionalProperties: false,
  required: ['mtu', 'debug', 'peers', 'tolerations'],
  properties: {
    mtu: { type: 'integer', default: 1500, description: 'MTU of the network' },
    debug: { type: 'boolean', default: false, description: 'Log more, and keep it' },
    peers: {
      type: 'array',
      default: [],
      description: 'Routers: ip, asn, and a port where it is not 179',
      items: {
        type: 'object',
        properties: {
          ip: { type: 'string' },
          asn: { type: 'integer' },
          port: { type: 'integer' },
        },
      },
    },
    tolerations: { type: 'array', default: [], description: 'As Kubernetes writes them' },
  },
};

export class Router extends Chart {
  constructor(scope: Construct, id: string, values: Cfg<Values>, context: Context) {
    super(scope, id, { disableResourceNameHashes: true });
    const metadata = (name: string) => ({ name, labels: recommendedLabels(context, name) });
    new ApiObject(this, 'config', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadata('router'),
      data: {
        tunnelMtu: str(sub(values.mtu, 50)),
        greeting: `MTU ${values.mtu} in ${context.release.namespace}`,
        level: when(values.debug, 'debug', 'info'),
      },
    });
    new ApiObject(this, 'pod', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: metadata('router-pod'),
      spec: {
        nodeSelector: { debug: when(values.debug, 'true') },
        // Whole objects pass as they are.
        tolerations: values.tolerations,
        containers: [
          {
            name: 'router',
            image: join('example.com/router:', context.chart.appVersion),
            args: list(
              each(values.peers, ({ ip, asn }) => join('--peer=', ip, ',', asn)),
              when(values.debug, '--verbose'),
            ),
            ports: list(
              each(values.peers, ({ port }) =>
                when(given(port), { containerPort: port }, { containerPort: 179 }),
              ),
            ),
          },
        ],
      },
    });
    // A whole object that is there only where the value says so, and where the cluster has its kind.
    only(this, 'monitored', context.serves('monitoring.coreos.com/v1'), (at) => {
      new ApiObject(at, 'monitor', {
        apiVersion: 'monitoring.coreos.com/v1',
        kind: 'PodMonitor',
        metadata: { ...metadata('monitor'), annotations: { owner: nameOf(context, 'router') } },
        spec: { selector: {}, podMetricsEndpoints: [{ port: 'metrics' }] },
      });
    });
  }
}

const meta = { name: 'router', version: '1.2.3+4', appVersion: '1.2.3' };

/** The Helm chart. */
export const chart = chartOf<Values>({
  meta,
  schema,
  build: (app, values, context) => [new Router(app, 'router', values, context)],
});

/** The same as plain manifests, for one set of values. */
export function manifests(values: Values, kubernetes: string, apiVersions: readonly string[]) {
  const release = { name: 'edge', namespace: 'network' };
  const context = plainContext({ release, chart: meta, kubernetes, apiVersions });
  return new Router(new App(), 'router', values, context).toJson();
}
