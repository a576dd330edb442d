// DaemonSet calico-node: on every node the agent (container calico-node) and the BGP speaker
// (container bgp), from one image; install-cni puts the plugin and its configuration in place
// first. Neither container is privileged.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { eachEntry, entryOf, eq, int, list, sha256, str, sub, when } from '../helm/functions.ts';
import { networkConfig } from './calico-etc.ts';
import {
  type Container,
  dropAll,
  type EnvironmentVariable,
  fromConfig,
  fromField,
  hostPath,
  labelsOf,
  metadataOf,
  type PodSpec,
  placed,
  podMetadata,
  probe,
  type Volume,
  type VolumeMount,
  withMore,
} from './manifest.ts';
import {
  apiServer,
  certificates,
  contextOf,
  etcdEndpoints,
  imagesOf,
  nodeMetrics,
  PROC_SYS_NET,
  type Settings,
  scrapeAnnotations,
  serviceProxy,
} from './settings.ts';

export const NODE = 'calico-node';
/**
 * What lives shortly gets 6 MiB: with Node's own limit of eight times as much a large list of objects
 * leaves a hundred MiB behind that are never given back, and costs no less time. So little the main
 * thread collects alone: where others have the processors it would wait 10 ms for its helpers.
 */
export const AGENT_FLAGS = ['--max-semi-space-size=2', '--no-parallel-scavenge'];
/** One heap of the C library for all threads: one for each holds 10 MiB that nobody uses (mallopt(3)). */
export const AGENT_MEMORY = { name: 'MALLOC_ARENA_MAX', value: '1' };
export const AGENT_COMMAND = ['/usr/local/bin/node', ...AGENT_FLAGS, '/opt/calico/agent.mjs'];
/**
 * V8's best compiler comes later than by default: what a peer's first 100,000 routes run through
 * takes it 100 ms of processor time, twice what they take by the code of the compiler before it.
 */
export const SPEAKER_FLAGS = [
  '--invocation-count-for-turbofan=200000',
  '--invocation-count-for-osr=200000',
];
const SPEAKER_COMMAND = ['/usr/local/bin/node', ...SPEAKER_FLAGS, '/opt/calico/speaker.mjs'];
// SYS_ADMIN: entering the network namespace of a pod.
export const AGENT_CAPABILITIES = ['NET_ADMIN', 'NET_RAW', 'SYS_ADMIN'];
const AGENT_HEALTH_PORT = 9099;
const SPEAKER_HEALTH_PORT = 9098;

export class CalicoNode extends Construct {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    new ApiObject(this, 'account', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataOf(NODE),
    });
    new ApiObject(this, 'daemonset', {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: metadataOf(NODE),
      spec: {
        selector: { matchLabels: labelsOf(NODE) },
        updateStrategy: updateStrategy(settings),
        template: {
          // Another datastore needs other pods, and so does another physical MTU, of which no agent
          // hears otherwise. No setting of the pool does.
          metadata: podMetadata(NODE, settings.pod.calico_node, {
            'calico-kit/etcd-endpoints': etcdEndpoints(settings),
            'calico-kit/mtu': str(settings.networking.mtu),
            // What is installed when a pod starts.
            'calico-kit/cni-network-config': sha256(networkConfig(settings)),
            ...scrapeAnnotations(settings, nodeMetrics(settings).port),
          }),
          spec: podSpec(settings),
        },
      },
    });
  }
}

const updateStrategy = ({ pod: { calico_node } }: Settings) => ({
  type: calico_node.update_strategy,
  rollingUpdate: when(eq(calico_node.update_strategy, 'RollingUpdate'), {
    maxUnavailable: calico_node.max_unavailable,
  }),
});

/** What the speaker takes where `conf.node` says nothing. */
const DRAIN_SECONDS = '1';
/** To end sessions and processes. */
const SECONDS_TO_END = 4;

const podSpec = (settings: Settings): PodSpec => ({
  ...placed(settings.pod.calico_node, settings.images, contextOf(settings)),
  affinity: settings.pod.calico_node.affinity,
  initContainers: [installCni(settings)],
  containers: list<Of<Container>>(agent(settings), when(hasSpeaker(settings), speaker(settings))),
  serviceAccountName: NODE,
  // After SIGTERM the speaker goes on for so long while its peers turn elsewhere (RFC 8326), which no preStop
  // hook need ask of it; then both programs end at once, and leave routes and rules in place.
  terminationGracePeriodSeconds: sub(
    int(entryOf(settings.conf.node, 'BGP_DRAIN_SECONDS', DRAIN_SECONDS)),
    -SECONDS_TO_END,
  ),
  volumes: [
    ...nodeVolumes,
    hostPath('cni-state', '/var/lib/cni', 'DirectoryOrCreate'),
    ...certificates(settings).volumes,
  ],
});

/** What the agent touches on its node. */
export const nodeVolumes: readonly Volume[] = [
  hostPath('var-run-calico', '/var/run/calico', 'DirectoryOrCreate'),
  hostPath('var-lib-calico', '/var/lib/calico', 'DirectoryOrCreate'),
  hostPath('xtables-lock', '/run/xtables.lock', 'FileOrCreate'),
  hostPath('lib-modules', '/lib/modules', 'DirectoryOrCreate'),
  hostPath('netns', '/run/netns', 'DirectoryOrCreate'),
  hostPath('proc-sys-net', '/proc/sys/net', 'Directory'),
  hostPath('cni-bin', '/opt/cni/bin', 'DirectoryOrCreate'),
  hostPath('cni-net', '/etc/cni/net.d', 'DirectoryOrCreate'),
];

const CNI_MOUNTS: readonly VolumeMount[] = [
  { name: 'cni-bin', mountPath: '/host/opt/cni/bin' },
  { name: 'cni-net', mountPath: '/host/etc/cni/net.d' },
];

const AGENT_MOUNTS: readonly VolumeMount[] = [
  { name: 'var-run-calico', mountPath: '/var/run/calico' },
  { name: 'var-lib-calico', mountPath: '/var/lib/calico' },
  { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
  { name: 'lib-modules', mountPath: '/lib/modules', readOnly: true },
  // Network namespaces that the runtime makes later must appear here as well.
  { name: 'netns', mountPath: '/run/netns', mountPropagation: 'HostToContainer' },
  // /proc/sys is read-only in a container that is not privileged.
  { name: 'proc-sys-net', mountPath: '/host/proc/sys/net' },
];

/** Another IPAM plugin's executable, and the files of host-local. */
const IPAM_MOUNTS: readonly VolumeMount[] = [
  { name: 'cni-bin', mountPath: '/opt/cni/bin', readOnly: true },
  { name: 'cni-state', mountPath: '/var/lib/cni' },
];

/** Everything of the node, for the clean-up as well. */
export const nodeMounts = [...AGENT_MOUNTS, ...CNI_MOUNTS];

const identity: readonly EnvironmentVariable[] = [
  fromConfig('ETCD_ENDPOINTS', 'etcd_endpoints'),
  fromField('NODENAME', 'spec.nodeName'),
  fromField('CALICO_K8S_NODE_REF', 'spec.nodeName'),
];

const common = (settings: Settings): Of<EnvironmentVariable>[] =>
  list<Of<EnvironmentVariable>>(
    identity,
    certificates(settings).env,
    apiServer(settings),
    eachEntry('variable', settings.conf.node, (name, value) => ({ name, value })),
  );

const pool: readonly EnvironmentVariable[] = [
  fromConfig('CALICO_IPV4POOL_CIDR', 'ipv4pool_cidr'),
  fromConfig('CALICO_IPV4POOL_IPIP', 'ipv4pool_ipip'),
  fromConfig('CALICO_IPV4POOL_VXLAN', 'ipv4pool_vxlan'),
  fromConfig('CALICO_IPV4POOL_NAT_OUTGOING', 'ipv4pool_nat_outgoing'),
  fromConfig('CALICO_IPV4POOL_DISABLED', 'ipv4pool_disabled'),
  fromConfig('CALICO_IPV4POOL_BLOCK_SIZE', 'ipv4pool_block_size'),
  fromConfig('CALICO_IPV4POOL_NODE_SELECTOR', 'ipv4pool_node_selector'),
  fromConfig('CALICO_IPV4POOL_DISABLE_BGP_EXPORT', 'ipv4pool_disable_bgp_export'),
  fromConfig('CNI_MTU', 'cni_mtu'),
  fromConfig('CALICO_PHYSICAL_MTU', 'mtu'),
];

const imageOf = (settings: Settings) => ({
  image: imagesOf(settings).node,
  imagePullPolicy: settings.images.pull_policy,
  resources: settings.pod.calico_node.resources,
});

const installCni = (settings: Settings): Container => ({
  name: 'install-cni',
  ...imageOf(settings),
  command: [...AGENT_COMMAND, 'install-cni'],
  env: withMore(
    [
      ...identity,
      fromConfig('CNI_NETWORK_CONFIG', 'cni_network_config'),
      fromConfig('CNI_MTU', 'cni_mtu'),
      { name: 'CNI_CONF_NAME', value: '10-calico.conflist' },
      { name: 'CNI_NET_DIR', value: '/etc/cni/net.d' },
    ],
    settings.pod.calico_node,
  ),
  securityContext: dropAll(),
  volumeMounts: CNI_MOUNTS,
});

const agent = (settings: Settings): Container => ({
  name: NODE,
  ...imageOf(settings),
  command: AGENT_COMMAND,
  env: withMore(
    [...common(settings), ...pool, PROC_SYS_NET, AGENT_MEMORY, ...serviceProxy(settings)],
    settings.pod.calico_node,
  ),
  ports: nodeMetrics(settings).agent,
  livenessProbe: { ...probe('/liveness', AGENT_HEALTH_PORT), initialDelaySeconds: 10 },
  readinessProbe: { ...probe('/readiness', AGENT_HEALTH_PORT), periodSeconds: 2 },
  securityContext: dropAll(...AGENT_CAPABILITIES),
  volumeMounts: [...AGENT_MOUNTS, ...IPAM_MOUNTS, ...certificates(settings).mounts],
});

/** Without BGP there is nothing for it to do. */
const hasSpeaker = ({ conf }: Settings): Of<boolean> =>
  eq(entryOf(conf.node, 'CALICO_NETWORKING_BACKEND', 'bird'), 'bird');

const speaker = (settings: Settings): Container => ({
  name: 'bgp',
  ...imageOf(settings),
  command: SPEAKER_COMMAND,
  // Secrets with the passwords of BGP sessions are in the pod's own namespace.
  env: withMore(
    [...common(settings), AGENT_MEMORY, fromField('POD_NAMESPACE', 'metadata.namespace')],
    settings.pod.calico_node,
  ),
  ports: nodeMetrics(settings).speaker,
  livenessProbe: { ...probe('/liveness', SPEAKER_HEALTH_PORT), initialDelaySeconds: 10 },
  readinessProbe: { ...probe('/readiness', SPEAKER_HEALTH_PORT), periodSeconds: 2 },
  // NET_BIND_SERVICE: TCP port 179.
  securityContext: dropAll('NET_ADMIN', 'NET_RAW', 'NET_BIND_SERVICE'),
  volumeMounts: [
    { name: 'var-run-calico', mountPath: '/var/run/calico' },
    { name: 'var-lib-calico', mountPath: '/var/lib/calico' },
    ...certificates(settings).mounts,
  ],
});
