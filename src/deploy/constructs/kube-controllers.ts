// Deployment calico-kube-controllers: turns Kubernetes objects into Calico's, frees what removed
// nodes leave behind, and writes the settings of the chart into the datastore.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { entryOf, str } from '../helm/functions.ts';
import {
  type Container,
  dropAll,
  type EnvironmentVariable,
  everywhere,
  fromConfig,
  labelsOf,
  metadataOf,
  probe,
} from './manifest.ts';
import { BLOCK_SIZE, effectiveMtu, etcdEndpoints, type Settings, switchText } from './settings.ts';

export const CONTROLLERS = 'calico-kube-controllers';
const HEALTH_PORT = 9097;
const NOBODY = 65534;

export class KubeControllers extends Construct {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    new ApiObject(this, 'account', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataOf(CONTROLLERS),
    });
    new ApiObject(this, 'deployment', {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadataOf(CONTROLLERS),
      spec: {
        // One writer; with Recreate there are never two of them.
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: labelsOf(CONTROLLERS) },
        template: {
          metadata: {
            labels: labelsOf(CONTROLLERS),
            annotations: { 'calico-kit/etcd-endpoints': etcdEndpoints(settings) },
          },
          spec: {
            ...everywhere,
            containers: [controllers(settings)],
            priorityClassName: 'system-cluster-critical',
            serviceAccountName: CONTROLLERS,
            terminationGracePeriodSeconds: 5,
          },
        },
      },
    });
  }
}

const controllers = (settings: Settings): Container => ({
  name: CONTROLLERS,
  image: settings.images.kube_controllers,
  imagePullPolicy: settings.images.pull_policy,
  command: ['/usr/local/bin/node', '/opt/calico/controllers.mjs'],
  env: environment(settings),
  livenessProbe: { ...probe('/liveness', HEALTH_PORT), initialDelaySeconds: 10 },
  readinessProbe: { ...probe('/readiness', HEALTH_PORT), periodSeconds: 2 },
  securityContext: {
    ...dropAll(),
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    runAsUser: NOBODY,
  },
});

function environment(settings: Settings): EnvironmentVariable[] {
  const { networking, conf } = settings;
  const { mesh, ippool } = networking.settings;
  return [
    fromConfig('ETCD_ENDPOINTS', 'etcd_endpoints'),
    {
      name: 'ENABLED_CONTROLLERS',
      value: 'policy,namespace,serviceaccount,workloadendpoint,node,settings,routereflector',
    },
    { name: 'LOG_LEVEL', value: entryOf(conf.node, 'LOG_LEVEL', 'info') },
    { name: 'HEALTH_HOST', value: '127.0.0.1' },
    { name: 'HEALTH_PORT', value: String(HEALTH_PORT) },
    // Values and not references: their change restarts the pod, which writes them anew.
    { name: 'CALICO_SETTINGS_MESH', value: switchText(mesh) },
    { name: 'CALICO_SETTINGS_ASNUMBER', value: str(networking.bgp.asnumber) },
    {
      name: 'CALICO_ROUTE_REFLECTORS_PER_ZONE',
      value: str(networking.bgp.route_reflectors.per_zone),
    },
    { name: 'CALICO_SETTINGS_BFD', value: networking.bgp.bfd },
    { name: 'CALICO_SETTINGS_MTU', value: str(effectiveMtu(settings)) },
    { name: 'CALICO_IPV4POOL_CIDR', value: networking.podSubnet },
    { name: 'CALICO_IPV4POOL_IPIP', value: ippool.ipip.mode },
    { name: 'CALICO_IPV4POOL_NAT_OUTGOING', value: switchText(ippool.nat_outgoing) },
    { name: 'CALICO_IPV4POOL_DISABLED', value: switchText(ippool.disabled) },
    { name: 'CALICO_IPV4POOL_BLOCK_SIZE', value: BLOCK_SIZE },
  ];
}
