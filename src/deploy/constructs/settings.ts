// What follows from the settings and is needed by more than one construct.
import { type Encapsulation, OVERHEAD_BYTES } from '../../model/mtu.ts';
import type { Values } from '../../model/settings/schema.ts';
import type { Of } from '../helm/expr.ts';
import {
  choose,
  eq,
  isOn,
  join,
  list,
  not,
  or,
  someWith,
  str,
  sub,
  when,
} from '../helm/functions.ts';
import type { Cfg } from '../helm/reading.ts';
import type { EnvironmentVariable, Volume, VolumeMount } from './manifest.ts';

export type Settings = Cfg<Values>;

/** Prefix length of an IPAM block. */
export const BLOCK_SIZE = '26';

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
  const vxlan = choose(further(IPV4, 'vxlanMode'), less('vxlan'), ipip);
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

/** What a container needs to speak TLS with the datastore, as a client or a member; nothing without. */
export const certificates = ({ etcd }: Settings, side: 'client' | 'server' = 'client') => {
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
    volumes: list<Of<Volume>>(when(given, { name: 'etcd-certificates', secret: { secretName } })),
  };
};

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
    setting('MASQUERADE_ALL', str(proxy.masqueradeAll)),
    setting('MASQUERADE_BIT', str(proxy.masqueradeBit)),
    setting('EXTERNAL_CIDRS', proxy.externalCIDRs),
    setting('TAKE_OVER', str(proxy.takeOver)),
  );
};

/** Where the API server is before any Service is served: it goes before what kubelet tells. */
export const apiServer = ({ serviceProxy: proxy }: Settings) =>
  list<Of<EnvironmentVariable>>(
    when(proxy.enabled, { name: 'KUBERNETES_SERVICE_HOST', value: proxy.apiServer.host }),
    when(proxy.enabled, { name: 'KUBERNETES_SERVICE_PORT', value: str(proxy.apiServer.port) }),
  );
