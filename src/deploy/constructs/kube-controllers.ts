// Deployment calico-kube-controllers: turns Kubernetes objects into Calico's, frees what removed
// nodes leave behind, and writes the settings of the chart into the datastore.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import {
  choose,
  entryOf,
  eq,
  join,
  json,
  list,
  not,
  sha256,
  str,
  when,
} from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import {
  type Container,
  dropAll,
  type EnvironmentVariable,
  fromConfig,
  labelsOf,
  metadataOf,
  placed,
  podMetadata,
  probe,
  withMore,
} from './manifest.ts';
import {
  certificates,
  contextOf,
  effectiveMtu,
  etcdEndpoints,
  imagesOf,
  METRICS,
  type Settings,
  scrapeAnnotations,
  switchOrNothing,
  switchText,
} from './settings.ts';

export const CONTROLLERS = 'calico-kube-controllers';
const HEALTH_PORT = 9097;
const NOBODY = 65534;

const SETTINGS_CONFIG = 'calico-settings';
const SETTINGS_FOLDER = '/etc/calico/settings';
const SETTINGS_KEY = 'settings.json';

/** The settings that are lists of objects, as the controllers read them. */
const settingsDocument = ({
  networking,
  bgpConfiguration,
  felixConfiguration,
}: Settings): Of<string> =>
  json({
    ipv4: networking.bgp.ipv4,
    ipv6: networking.bgp.ipv6,
    policy: networking.policy,
    pools: networking.pools,
    bgpConfiguration,
    felixConfiguration,
  });

export class KubeControllers extends Construct {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    new ApiObject(this, 'account', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataOf(CONTROLLERS),
    });
    new ApiObject(this, 'settings', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadataOf(SETTINGS_CONFIG, CONTROLLERS),
      data: { [SETTINGS_KEY]: settingsDocument(settings) },
    });
    const { min_available } = settings.pod.kube_controllers;
    only(this, 'kept', not(eq(str(min_available), '0')), (at) => {
      new ApiObject(at, 'budget', {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: metadataOf(CONTROLLERS),
        spec: {
          minAvailable: min_available,
          selector: { matchLabels: labelsOf(CONTROLLERS) },
          // A pod that is not ready holds no drain up.
          unhealthyPodEvictionPolicy: when(contextOf(settings).isAtLeast('1.31'), 'AlwaysAllow'),
        },
      });
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
          metadata: podMetadata(CONTROLLERS, settings.pod.kube_controllers, {
            'calico-kit/etcd-endpoints': etcdEndpoints(settings),
            // A pod writes what it read when it started.
            'calico-kit/settings': sha256(settingsDocument(settings)),
            ...scrapeAnnotations(settings, str(settings.monitoring.kube_controllers_port)),
          }),
          spec: {
            ...placed(settings.pod.kube_controllers, settings.images, contextOf(settings)),
            hostNetwork: settings.pod.kube_controllers.host_network,
            affinity: settings.pod.kube_controllers.affinity,
            containers: [controllers(settings)],
            serviceAccountName: CONTROLLERS,
            terminationGracePeriodSeconds: 5,
            volumes: [
              { name: 'settings', configMap: { name: SETTINGS_CONFIG } },
              ...certificates(settings).volumes,
            ],
          },
        },
      },
    });
  }
}

// On the network of the node it is asked over loopback, else at its own address.
const health = ({ pod }: Settings, path: string) => ({
  ...probe(path, HEALTH_PORT),
  httpGet: { path, port: HEALTH_PORT, host: when(pod.kube_controllers.host_network, '127.0.0.1') },
});

const controllers = (settings: Settings): Container => ({
  name: CONTROLLERS,
  image: imagesOf(settings).kube_controllers,
  imagePullPolicy: settings.images.pull_policy,
  command: ['/usr/local/bin/node', '/opt/calico/controllers.mjs'],
  env: withMore(environment(settings), settings.pod.kube_controllers),
  resources: settings.pod.kube_controllers.resources,
  ports: list<Of<{ readonly name: string; readonly containerPort: Of<number> }>>(
    when(not(eq(str(settings.monitoring.kube_controllers_port), '0')), {
      name: METRICS,
      containerPort: settings.monitoring.kube_controllers_port,
    }),
  ),
  livenessProbe: { ...health(settings, '/liveness'), initialDelaySeconds: 10 },
  readinessProbe: { ...health(settings, '/readiness'), periodSeconds: 2 },
  securityContext: {
    ...dropAll(),
    runAsNonRoot: true,
    runAsUser: NOBODY,
  },
  volumeMounts: [
    { name: 'settings', mountPath: SETTINGS_FOLDER, readOnly: true },
    ...certificates(settings).mounts,
  ],
});

function environment(settings: Settings): Of<EnvironmentVariable>[] {
  const { networking, conf } = settings;
  const { mesh, ippool } = networking.settings;
  const { host_network } = settings.pod.kube_controllers;
  return [
    fromConfig('ETCD_ENDPOINTS', 'etcd_endpoints'),
    ...certificates(settings).env,
    {
      name: 'ENABLED_CONTROLLERS',
      value: join(conf.controllers.ENABLED_CONTROLLERS, ',settings,routereflector'),
    },
    { name: 'LEAK_GRACE_PERIOD', value: conf.controllers.LEAK_GRACE_PERIOD },
    { name: 'LOG_LEVEL', value: entryOf(conf.node, 'LOG_LEVEL', 'info') },
    // kubelet asks from the node: over loopback where the pod is on its network.
    { name: 'HEALTH_HOST', value: choose(host_network, '127.0.0.1', '0.0.0.0') },
    { name: 'HEALTH_PORT', value: String(HEALTH_PORT) },
    { name: 'METRICS_PORT', value: str(settings.monitoring.kube_controllers_port) },
    // Values and not references: their change restarts the pod, which writes them anew.
    { name: 'CALICO_SETTINGS_MESH', value: switchText(mesh) },
    { name: 'CALICO_SETTINGS_ASNUMBER', value: str(networking.bgp.asnumber) },
    {
      name: 'CALICO_ROUTE_REFLECTORS_PER_ZONE',
      value: str(networking.bgp.route_reflectors.per_zone),
    },
    {
      name: 'CALICO_ROUTE_REFLECTORS_NODE_SELECTOR',
      value: networking.bgp.route_reflectors.node_selector,
    },
    { name: 'CALICO_SETTINGS_FILE', value: `${SETTINGS_FOLDER}/${SETTINGS_KEY}` },
    { name: 'CALICO_SETTINGS_BFD', value: networking.bgp.bfd },
    { name: 'CALICO_SETTINGS_MTU', value: str(effectiveMtu(settings)) },
    { name: 'CALICO_IPV4POOL_CIDR', value: networking.podSubnet },
    { name: 'CALICO_IPV4POOL_IPIP', value: ippool.ipip.mode },
    { name: 'CALICO_IPV4POOL_VXLAN', value: ippool.vxlan.mode },
    { name: 'CALICO_IPV4POOL_NAT_OUTGOING', value: switchText(ippool.nat_outgoing) },
    { name: 'CALICO_IPV4POOL_DISABLED', value: switchText(ippool.disabled) },
    { name: 'CALICO_IPV4POOL_BLOCK_SIZE', value: str(ippool.block_size) },
    { name: 'CALICO_IPV4POOL_NODE_SELECTOR', value: ippool.node_selector },
    {
      name: 'CALICO_IPV4POOL_DISABLE_BGP_EXPORT',
      value: switchOrNothing(ippool.disable_bgp_export),
    },
  ];
}
