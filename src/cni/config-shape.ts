// Every key that a `calico` or `calico-ipam` configuration may have, with its type: Calico's own keys,
// those of the CNI specification, and those that runtimes add. Windows keys are accepted and unused.
import type { Shape } from './shape.ts';

const DATASTORE = {
  datastore_type: 'string',
  etcd_endpoints: 'string',
  etcd_discovery_srv: 'string',
  etcd_key_file: 'string',
  etcd_cert_file: 'string',
  etcd_ca_cert_file: 'string',
  etcd_authority: 'string',
  etcd_scheme: 'string',
  calico_api_group: 'string',
  qps: 'number',
  burst: 'number',
} as const;

const LOG = {
  log_level: 'string',
  log_file_path: 'string',
  log_file_max_size: 'number',
  log_file_max_age: 'number',
  log_file_max_count: 'number',
} as const;

const NODE = {
  nodename: 'string',
  nodename_file: 'string',
  nodename_file_optional: 'boolean',
  hostname: 'string',
} as const;

const POLICY = {
  type: 'string',
  k8s_api_root: 'string',
  k8s_auth_token: 'string',
  k8s_client_certificate: 'string',
  k8s_client_key: 'string',
  k8s_certificate_authority: 'string',
} as const;

const KUBERNETES = {
  kubeconfig: 'string',
  node_name: 'string',
  k8s_api_root: 'string',
  k8s_auth_token: 'string',
} as const;

const WINDOWS = {
  mode: 'string',
  vxlan_mac_prefix: 'string',
  vxlan_vni: 'number',
  windows_use_single_network: 'boolean',
  windows_disable_host_subnet_nat_exclusion: 'boolean',
  windows_disable_default_deny_all_policy: 'boolean',
  windows_pod_deletion_timestamp_timeout: 'number',
  windows_loopback_DSR: 'boolean',
  DSR: 'boolean',
  policies: 'list',
} as const;

/** CNI SPEC, section "Plugin configuration objects", and what runtimes put in. */
const SPECIFICATION = {
  cniVersion: 'string',
  name: 'string',
  type: 'string',
  capabilities: 'object',
  runtimeConfig: 'object',
  args: 'object',
  ipMasq: 'boolean',
  dns: { nameservers: 'strings', domain: 'string', search: 'strings', options: 'strings' },
  prevResult: 'object',
  'cni.dev/valid-attachments': 'list',
  /** An early name of the same list, which libcni sends beside it. */
  'cni.dev/attachments': 'list',
} as const;

/** `ipam` of a configuration whose addresses come from elsewhere: its keys are that plugin's. */
export const FOREIGN_IPAM = 'object';

/** `ipam` when its type is calico-ipam. */
export const CALICO_IPAM = {
  type: 'string',
  subnet: 'string',
  assign_ipv4: 'truth',
  assign_ipv6: 'truth',
  ipv4_pools: 'strings',
  ipv6_pools: 'strings',
  /** Ours, host-local's words: for main plugins that cannot do without (ptp, bridge). */
  gateway: 'string',
  routes: 'list',
} as const;

/** A whole configuration with the given shape of `ipam`. */
export const configShape = (ipam: Shape): { readonly [key: string]: Shape } => ({
  ...SPECIFICATION,
  ...DATASTORE,
  ...LOG,
  ...NODE,
  ...WINDOWS,
  mtu: 'number',
  num_queues: 'number',
  device_type: 'string',
  require_mtu_file: 'boolean',
  ipam,
  ipam_lock_file: 'string',
  policy: POLICY,
  kubernetes: KUBERNETES,
  container_settings: { allow_ip_forwarding: 'boolean' },
  feature_control: { ip_addrs_no_ipam: 'boolean', floating_ips: 'boolean' },
  include_default_routes: 'boolean',
  readiness_gates: 'strings',
  policy_setup_timeout_seconds: 'number',
  endpoint_status_dir: 'string',
});
