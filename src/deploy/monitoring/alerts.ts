// Alerts on what calico-kit measures. One list is the PrometheusRule, the runbooks and what promtool
// tests. A runbook says what it means, what to look at, and ends in a command.

export interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long it must hold before anybody is called. */
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
  /** What it means, and what to do. */
  readonly meaning: string;
  readonly command: string;
  /** Series of promtool's notation under which it fires after an hour, and under which it does not. */
  readonly fires: Series;
  readonly quiet: Series;
}

export type Series = Readonly<Record<string, string>>;

const inNode = (command: string): string =>
  `kubectl -n kube-system exec ds/calico-node -c bgp -- node /opt/calico/cli.mjs ${command}`;
const onNode = (container: string): string =>
  `kubectl -n kube-system logs ds/calico-node -c ${container} --since 15m`;

// A PodMonitor's job is NAMESPACE/NAME, a ServiceMonitor's the name of the Service.
const NODES = 'job=~"(.+/)?calico-node(-metrics)?"';
const CONTROLLERS = 'job=~"(.+/)?calico-kube-controllers(-metrics)?"';
const NODE_JOB = 'job="kube-system/calico-node"';
const CONTROLLERS_JOB = 'job="kube-system/calico-kube-controllers"';
const PEER = 'peer="Mesh_10_0_0_2",address="10.0.0.2",family="ipv4"';

const HOUR = 'x60';

/** Nodes and sessions. */
const routing: readonly Alert[] = [
  {
    name: 'CalicoNodeUnreachable',
    expr: `up{${NODES}} == 0`,
    for: '5m',
    severity: 'critical',
    summary: 'calico-node on {{ $labels.instance }} answers no scrape',
    meaning:
      'Agent or speaker of the node is down, or its port is closed. Pods that run keep their connections; new ones wait, and policy does not change.',
    command: 'kubectl -n kube-system get pods -o wide -l k8s-app=calico-node',
    fires: { [`up{${NODE_JOB},instance="10.0.0.1:9091"}`]: `0${HOUR}` },
    quiet: {
      [`up{${NODE_JOB},instance="10.0.0.1:9091"}`]: `1${HOUR}`,
      'up{job="other"}': `0${HOUR}`,
    },
  },
  {
    name: 'CalicoBgpSessionDown',
    expr: 'bgp_peer_up == 0',
    for: '5m',
    severity: 'critical',
    summary:
      '{{ $labels.instance }} has no BGP session with {{ $labels.peer }} ({{ $labels.address }})',
    meaning:
      'Routes of this peer are missing or kept from before. Look at the last error of the session: a wrong AS number or password is told by name, silence means the network.',
    command: inNode('bgp peers'),
    fires: { [`bgp_peer_up{${PEER}}`]: `0${HOUR}` },
    quiet: { [`bgp_peer_up{${PEER}}`]: `1${HOUR}` },
  },
  {
    name: 'CalicoBgpSessionFlaps',
    expr: 'increase(bgp_peer_flaps_total[15m]) > 3',
    for: '1m',
    severity: 'warning',
    summary: 'The BGP session of {{ $labels.instance }} with {{ $labels.peer }} comes and goes',
    meaning:
      'It was lost more than three times in 15 minutes. Look for packet loss on the link, a busy node, or a BFD setting that is too tight.',
    command: inNode('bgp peers -o json'),
    fires: { [`bgp_peer_flaps_total{${PEER}}`]: '0+1x60' },
    quiet: { [`bgp_peer_flaps_total{${PEER}}`]: '0+0x29 1+0x30' },
  },
  {
    name: 'CalicoRoutesMissing',
    expr: 'bgp_routes_missing > 0',
    for: '2m',
    severity: 'critical',
    summary: '{{ $value }} routes are not in the kernel of {{ $labels.instance }}',
    meaning:
      'The speaker knows them and the kernel refuses them: a link that is down, a next hop that no link leads to, or somebody else’s route in the way. The speaker’s readiness names each.',
    command: onNode('bgp'),
    fires: { bgp_routes_missing: `2${HOUR}` },
    quiet: { bgp_routes_missing: `0${HOUR}` },
  },
  {
    name: 'CalicoMtuMismatch',
    expr: 'calico_mtu_mismatch == 1',
    for: '5m',
    severity: 'warning',
    summary: 'The MTU of pods does not fit through the interfaces of {{ $labels.instance }}',
    meaning:
      'Large packets of the node’s pods are lost, small ones pass. The command names the interface, both figures and the setting.',
    command: inNode('status'),
    fires: { calico_mtu_mismatch: `1${HOUR}` },
    quiet: { calico_mtu_mismatch: `0${HOUR}` },
  },
  {
    name: 'CalicoPathEatsPackets',
    expr: 'calico_path_mtu_narrow > 0',
    for: '15m',
    severity: 'warning',
    summary: 'Large packets of {{ $labels.instance }} do not reach {{ $value }} nodes',
    meaning:
      'Something between the nodes carries less than their interfaces and drops the answer that would say so. The log names each node and the size that passes: mend the path, or lower networking.mtu.',
    command: onNode('calico-node'),
    fires: { calico_path_mtu_narrow: `2${HOUR}` },
    quiet: { calico_path_mtu_narrow: `0${HOUR}` },
  },
];

/** Policy and services. */
const rules: readonly Alert[] = [
  {
    name: 'CalicoDatastoreLost',
    expr: 'felix_resync_state == 1',
    for: '5m',
    severity: 'critical',
    summary: 'The agent of {{ $labels.instance }} has not heard the datastore out',
    meaning:
      'Traffic and rules go on as they were; no pod can start or end, and no change of policy arrives. Look whether etcd answers.',
    command: 'kubectl -n kube-system get pods -o wide -l k8s-app=calico-etcd',
    fires: { felix_resync_state: `1${HOUR}` },
    quiet: { felix_resync_state: `3${HOUR}` },
  },
  {
    name: 'CalicoRulesRefused',
    expr: 'increase(felix_int_dataplane_failures[10m]) > 2',
    for: '5m',
    severity: 'critical',
    summary: 'The kernel of {{ $labels.instance }} refuses rules or sets',
    meaning:
      'What was there stays, and policy does not change. The log holds the refused line; a missing kernel module is told by name.',
    command: onNode('calico-node'),
    fires: { felix_int_dataplane_failures: '0+1x60' },
    quiet: { felix_int_dataplane_failures: '0+0x29 1+0x30' },
  },
  {
    name: 'CalicoPolicySlow',
    expr: 'histogram_quantile(0.99, sum by (instance, le) (rate(calico_policy_programming_latency_seconds_bucket[10m]))) > 2',
    for: '10m',
    severity: 'warning',
    summary:
      'Policy takes {{ $value | humanizeDuration }} to reach the kernel of {{ $labels.instance }}',
    meaning:
      'From a change in the datastore to the kernel, for the slowest percent. The node is busy, or something else rewrites its tables.',
    command: inNode('policy counters'),
    fires: {
      'calico_policy_programming_latency_seconds_bucket{le="2.5"}': '0+0x60',
      'calico_policy_programming_latency_seconds_bucket{le="5"}': '0+9x60',
      'calico_policy_programming_latency_seconds_bucket{le="+Inf"}': '0+9x60',
    },
    quiet: {
      'calico_policy_programming_latency_seconds_bucket{le="0.1"}': '0+9x60',
      'calico_policy_programming_latency_seconds_bucket{le="+Inf"}': '0+9x60',
    },
  },
  {
    name: 'CalicoServicesRefused',
    expr: `increase(kubeproxy_sync_proxy_rules_iptables_restore_failures_total{${NODES}}[10m]) > 2`,
    for: '5m',
    severity: 'critical',
    summary: 'The kernel of {{ $labels.instance }} refuses rules of Services',
    meaning: 'Services of the node stay as they were. The log holds the refused line.',
    command: onNode('calico-node'),
    fires: {
      [`kubeproxy_sync_proxy_rules_iptables_restore_failures_total{${NODE_JOB}}`]: '0+1x60',
    },
    quiet: {
      'kubeproxy_sync_proxy_rules_iptables_restore_failures_total{job="kube-proxy"}': '0+1x60',
    },
  },
];

/** Addresses and the controllers, which look after them. */
const addresses: readonly Alert[] = [
  {
    name: 'CalicoPoolFull',
    expr: 'ipam_ippool_free == 0 and ipam_ippool_size > 0',
    for: '5m',
    severity: 'critical',
    summary: 'Pool {{ $labels.ippool }} has no address left',
    meaning:
      'New pods that need an address of it do not start. Give back what nobody uses, or add a pool to networking.pools.',
    command: inNode('ipam show --show-blocks'),
    fires: {
      'ipam_ippool_free{ippool="a"}': `0${HOUR}`,
      'ipam_ippool_size{ippool="a"}': `256${HOUR}`,
    },
    quiet: {
      'ipam_ippool_free{ippool="a"}': `1${HOUR}`,
      'ipam_ippool_size{ippool="a"}': `256${HOUR}`,
    },
  },
  {
    name: 'CalicoPoolNearlyFull',
    expr: 'ipam_ippool_free / (ipam_ippool_size - ipam_ippool_reserved) < 0.1',
    for: '15m',
    severity: 'warning',
    summary:
      'Pool {{ $labels.ippool }} has {{ $value | humanizePercentage }} of its addresses left',
    meaning: 'Add a pool to networking.pools before it is empty.',
    command: inNode('ipam show'),
    fires: {
      'ipam_ippool_free{ippool="a"}': `9${HOUR}`,
      'ipam_ippool_size{ippool="a"}': `110${HOUR}`,
      'ipam_ippool_reserved{ippool="a"}': `10${HOUR}`,
    },
    quiet: {
      'ipam_ippool_free{ippool="a"}': `11${HOUR}`,
      'ipam_ippool_size{ippool="a"}': `110${HOUR}`,
      'ipam_ippool_reserved{ippool="a"}': `10${HOUR}`,
    },
  },
  {
    name: 'CalicoAddressesUnused',
    expr: 'sum(ipam_allocations_gc_candidates) > 50',
    for: '45m',
    severity: 'warning',
    summary: '{{ $value }} addresses seem to have no owner',
    meaning:
      'They are freed after LEAK_GRACE_PERIOD. That so many stay means that pods end without a DEL, or that the controllers cannot see the pods.',
    command: inNode('ipam gc --dry-run'),
    fires: { 'ipam_allocations_gc_candidates{node="n1"}': `60${HOUR}` },
    quiet: { 'ipam_allocations_gc_candidates{node="n1"}': `40${HOUR}` },
  },
  {
    name: 'CalicoIpamBroken',
    expr: 'calico_ipam_invariant_violations > 0',
    for: '10m',
    severity: 'critical',
    summary: 'Address management breaks invariant {{ $labels.invariant }}',
    meaning:
      'Two owners of one address, or a block that nobody accounts for. The check names both.',
    command: inNode('ipam check'),
    fires: { 'calico_ipam_invariant_violations{invariant="I1"}': `1${HOUR}` },
    quiet: { 'calico_ipam_invariant_violations{invariant="I1"}': `0${HOUR}` },
  },
  {
    name: 'CalicoControllersGone',
    expr: `absent(up{${CONTROLLERS}} == 1)`,
    for: '5m',
    severity: 'critical',
    summary: 'calico-kube-controllers is not there',
    meaning:
      'NetworkPolicies of Kubernetes, settings of the chart and the addresses of removed nodes stay as they are. Pods go on.',
    command: 'kubectl -n kube-system describe deployment calico-kube-controllers',
    fires: { [`up{${CONTROLLERS_JOB}}`]: `0${HOUR}` },
    quiet: { [`up{${CONTROLLERS_JOB}}`]: `1${HOUR}` },
  },
];

export const alerts: readonly Alert[] = [...routing, ...rules, ...addresses];

/** Groups of a PrometheusRule, without where the runbook is. */
export const ruleGroups = (runbookOf: (alert: Alert) => object = () => ({})) => [
  {
    name: 'calico',
    rules: alerts.map((alert) => ({
      alert: alert.name,
      expr: alert.expr,
      for: alert.for,
      labels: { severity: alert.severity },
      annotations: {
        summary: alert.summary,
        runbook: `${alert.meaning} Run: ${alert.command}`,
        ...runbookOf(alert),
      },
    })),
  },
];

/** RUNBOOKS.md of the chart. */
export function printRunbooks(): string {
  const sections = alerts.map(
    ({ name, expr, for: time, severity, summary, meaning, command }) => `## ${name}

${severity}, after ${time}: ${summary.replaceAll(/\{\{ *\$(?:labels\.)?(\w+).*?\}\}/g, '`$1`')}

    ${expr}

${meaning}

    ${command}
`,
  );
  const intro = 'What each alert of this chart (monitoring.alerts.enabled) means, and what to run.';
  return `# Runbooks\n\n${intro}\n\n${sections.join('\n')}`;
}
