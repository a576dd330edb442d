// What follows from the settings and is needed by more than one construct.
import { type Encapsulation, OVERHEAD_BYTES } from '../../model/mtu.ts';
import type { Values } from '../../model/settings/schema.ts';
import { type Context, helmContext, plainContext } from '../helm/context.ts';
import { Expr, type Of } from '../helm/expr.ts';
import {
  choose,
  entryOf,
  eq,
  int,
  isOn,
  join,
  list,
  not,
  or,
  orEmpty,
  someWith,
  str,
  sub,
  when,
  without,
} from '../helm/functions.ts';
import type { Cfg } from '../helm/reading.ts';
import type { EnvironmentVariable, Volume, VolumeMount } from './manifest.ts';

export type Settings = Cfg<Values>;

// Plain manifests are for this Kubernetes; fields that are newer than the oldest are in it.
const PLAIN = plainContext({
  release: { name: 'calico', namespace: 'kube-system' },
  chart: { name: 'calico', version: '0.1.0', appVersion: '0.1.0' },
  apiVersions: [],
  kubernetes: '1.36.0',
});

/** What Helm knows beside the values, in the reading that the settings are of. */
export const contextOf = ({ networking }: Settings): Context =>
  networking.podSubnet instanceof Expr ? helmContext : PLAIN;

/** Where the agent writes sysctls: its own /proc/sys is read-only without full privileges. */
export const PROC_SYS_NET = { name: 'CALICO_PROC_SYS_NET', value: '/host/proc/sys/net' };

/** MTU of pod interfaces: the physical one, less the largest outer header that any pool asks for. */
export function effectiveMtu({ networking }: Settings): Of<number> {
  const { mtu, pools, settings } = networking;
  const less = (encapsulation: Encapsulation) => sub(mtu, OVERHEAD_BYTES[encapsulation]);
  const on = 'Always|CrossSubnet';
  const further = (family: string, field: string) =>
    someWith(pools, [
      ['cidr', family],
      [field, on],
    ]);
  const tunnelled = not(eq(settings.ippool.ipip.mode, 'Never'));
  const ipip = choose(
    tunnelled,
    less('ipip'),
    choose(further(IPV4, 'ipipMode'), less('ipip'), mtu),
  );
  const overlay = or(not(eq(settings.ippool.vxlan.mode, 'Never')), further(IPV4, 'vxlanMode'));
  const vxlan = choose(overlay, less('vxlan'), ipip);
  return choose(further(IPV6, 'vxlanMode'), less('vxlanV6'), vxlan);
}

const [IPV4, IPV6] = ['[^:"]*', '[^"]*:[^"]*'];

/** URLs of the datastore: the user's own, else those of Service calico-etcd. */
export function etcdEndpoints({ etcd }: Settings): Of<string> {
  const scheme = choose(isSecured(etcd), 'https://', 'http://');
  const serviceUrl = join(scheme, etcd.clusterIP, ':', etcd.port);
  return choose(eq(etcd.endpoints, ''), serviceUrl, etcd.endpoints);
}

const CERTIFICATES = '/etc/calico/etcd-certificates';

/** Whether the chart makes the certificates of calico-etcd. */
export const isGenerated = ({ tls }: Settings['etcd']): Of<boolean> => eq(tls.mode, 'generate');

const isSecured = (etcd: Settings['etcd']): Of<boolean> =>
  or(isGenerated(etcd), not(eq(etcd.tls.secret, '')));

/**
 * What a container needs to speak TLS with the datastore, as a client or a member; nothing without.
 * Optional: it starts without the Secret too.
 */
export const certificates = (
  { etcd }: Settings,
  side: 'client' | 'server' = 'client',
  presence: { readonly optional?: true } = {},
) => {
  const given = isSecured(etcd);
  const secretName = choose(isGenerated(etcd), `calico-etcd-${side}`, etcd.tls.secret);
  const file = (name: string, key: string) =>
    when(given, { name, value: `${CERTIFICATES}/${key}` });
  return {
    given,
    folder: CERTIFICATES,
    env: list<Of<EnvironmentVariable>>(
      file('ETCD_CA_CERT_FILE', 'ca.crt'),
      file('ETCD_CERT_FILE', 'tls.crt'),
      file('ETCD_KEY_FILE', 'tls.key'),
    ),
    mounts: list<Of<VolumeMount>>(
      when(given, { name: 'etcd-certificates', mountPath: CERTIFICATES, readOnly: true }),
    ),
    volumes: list<Of<Volume>>(
      when(given, { name: 'etcd-certificates', secret: { secretName, ...presence } }),
    ),
  };
};

/** `true` or `false` for a switch, and nothing for an empty text. */
export const switchOrNothing = (value: Of<boolean | string>): Of<string> =>
  choose(eq(str(value), ''), '', switchText(value));

/** `true` or `false` for a switch. */
export const switchText = (value: Parameters<typeof isOn>[0]): Of<string> => str(isOn(value));

const PROXY = 'CALICO_SERVICE_PROXY';

/** What an agent that serves Services is told; nothing where it does not. */
export const serviceProxy = ({ serviceProxy: proxy, networking }: Settings) => {
  const setting = (name: string, value: Of<string>) =>
    when(proxy.enabled, { name: name === '' ? PROXY : `${PROXY}_${name}`, value });
  const clusterCidr = choose(eq(proxy.clusterCIDR, ''), networking.podSubnet, proxy.clusterCIDR);
  return list<Of<EnvironmentVariable>>(
    setting('', 'true'),
    setting('MODE', proxy.mode),
    setting('CLUSTER_CIDR', clusterCidr),
    setting('NODEPORT_ADDRESSES', proxy.nodePortAddresses),
    setting('LOCALHOST_NODE_PORTS', str(proxy.localhostNodePorts)),
    setting('MASQUERADE_ALL', str(proxy.masqueradeAll)),
    setting('MASQUERADE_BIT', str(proxy.masqueradeBit)),
    setting('EXTERNAL_CIDRS', proxy.externalCIDRs),
    setting('LOAD_BALANCER_CIDRS', proxy.loadBalancerCIDRs),
    setting('HEALTH_ADDRESS', proxy.healthAddress),
    setting('TAKE_OVER', str(proxy.takeOver)),
  );
};

/** Says that rules of services are ours to remove; nothing where they are not. */
export const servesServices = ({ serviceProxy: proxy }: Settings) =>
  list<Of<EnvironmentVariable>>(when(proxy.enabled, { name: PROXY, value: 'true' }));

/** Where the API server is before any Service is served: it goes before what kubelet tells. */
export const apiServer = ({ serviceProxy: proxy }: Settings) =>
  list<Of<EnvironmentVariable>>(
    when(proxy.enabled, { name: 'KUBERNETES_SERVICE_HOST', value: proxy.apiServer.host }),
    when(proxy.enabled, { name: 'KUBERNETES_SERVICE_PORT', value: str(proxy.apiServer.port) }),
  );

/** Names of the ports of metrics. */
export const METRICS = 'metrics';
export const NODE_PORTS = [METRICS, 'bgp-metrics'] as const;
const SPEAKER_METRICS_PORT = 9092;

/** Ports where agent and speaker serve their metrics; none where they do not. */
export const nodeMetrics = ({ conf }: Settings) => {
  const port = entryOf(conf.node, 'FELIX_PROMETHEUSMETRICSPORT', '9091');
  const isServed = isOn(entryOf(conf.node, 'FELIX_PROMETHEUSMETRICSENABLED', 'false'));
  const ports = (name: string, containerPort: Of<number>) =>
    list<Of<{ readonly name: string; readonly containerPort: Of<number> }>>(
      when(isServed, { name, containerPort }),
    );
  return {
    port,
    agent: ports(NODE_PORTS[0], int(port)),
    speaker: ports(NODE_PORTS[1], SPEAKER_METRICS_PORT),
  };
};

/** For a Prometheus that reads annotations of pods. */
export const scrapeAnnotations = ({ monitoring }: Settings, port: Of<string>) => ({
  'prometheus.io/scrape': str(monitoring.scrape),
  'prometheus.io/port': port,
});

// What stands before the first slash is a registry where it has a dot or a port.
const REGISTRY = '^([^/]*[.:][^/]*|localhost)/';

/** Images as they are pulled: from another registry where the settings name one. */
export const imagesOf = ({ images, global }: Settings) => {
  const registry = choose(
    eq(images.registry, ''),
    entryOf(orEmpty(global), 'imageRegistry', ''),
    images.registry,
  );
  const from = (image: Of<string>) =>
    choose(eq(registry, ''), image, join(registry, '/', without(image, REGISTRY)));
  return {
    ...images,
    node: from(images.node),
    kube_controllers: from(images.kube_controllers),
    etcd: from(images.etcd),
  };
};
