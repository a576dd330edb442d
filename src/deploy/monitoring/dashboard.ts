// The dashboard for Grafana as data: rows of panels, laid out by their order.
import { printJson } from '../../base/json.ts';

interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  /** One number instead of a curve. */
  readonly single?: true;
}

const query = (expr: string, legend = '{{instance}}'): Query => ({ expr, legend });
const panel = (title: string, unit: string, ...queries: readonly Query[]): Panel => ({
  title,
  unit,
  queries,
});
const single = (title: string, expr: string): Panel => ({
  title,
  unit: 'short',
  queries: [query(expr, title)],
  single: true,
});

const quantile = (q: number, metric: string, by = 'le'): string =>
  `histogram_quantile(${q}, sum by (${by}) (rate(${metric}_bucket[$__rate_interval])))`;
const rate = (expr: string): string => `rate(${expr}[$__rate_interval])`;

const rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: 'Cluster',
    panels: [
      single('BGP sessions up', 'sum(bgp_peer_up)'),
      single('BGP sessions down', 'sum(1 - bgp_peer_up)'),
      single('Routes missing', 'sum(bgp_routes_missing)'),
      single('Pods', 'sum(felix_active_local_endpoints)'),
      single('Policies', 'max(felix_cluster_num_policies)'),
      single('Invariants broken', 'sum(calico_ipam_invariant_violations)'),
    ],
  },
  {
    title: 'Routing',
    panels: [
      panel('Sessions by state', 'short', query('sum by (state) (bgp_peer_state)', '{{state}}')),
      panel('Prefixes received', 'short', query('sum by (instance) (bgp_peer_prefixes_received)')),
      panel(
        'Sessions lost',
        'short',
        query(`sum by (instance) (increase(bgp_peer_flaps_total[$__rate_interval]))`),
      ),
      panel(
        'Time to converge',
        's',
        query(quantile(0.5, 'bgp_convergence_seconds'), 'half'),
        query(quantile(0.99, 'bgp_convergence_seconds'), '99 of 100'),
      ),
      panel(
        'Messages',
        'ops',
        query(
          `sum by (message) (${rate('bgp_peer_messages_received_total')})`,
          'received {{message}}',
        ),
        query(`sum by (message) (${rate('bgp_peer_messages_sent_total')})`, 'sent {{message}}'),
      ),
    ],
  },
  {
    title: 'Policy',
    panels: [
      panel(
        'From a change to the kernel',
        's',
        query(quantile(0.5, 'calico_policy_programming_latency_seconds'), 'half'),
        query(quantile(0.99, 'calico_policy_programming_latency_seconds'), '99 of 100'),
      ),
      panel('Rules', 'short', query('sum by (instance) (felix_iptables_rules)')),
      panel('IP sets', 'short', query('felix_ipsets_calico')),
      panel(
        'Packets denied',
        'pps',
        query(
          `topk(10, sum by (policy) (${rate('calico_policy_packets_total{action="deny"}')}))`,
          '{{policy}}',
        ),
      ),
      panel(
        'Transactions refused',
        'short',
        query('increase(felix_iptables_restore_errors[$__rate_interval])'),
      ),
    ],
  },
  {
    title: 'Addresses',
    panels: [
      panel('Free of a pool', 'short', query('ipam_ippool_free', '{{ippool}}')),
      panel('In use on a node', 'short', query('ipam_allocations_per_node', '{{node}}')),
      panel('Blocks of a node', 'short', query('ipam_blocks_per_node', '{{node}}')),
      panel('Seem unused', 'short', query('sum(ipam_allocations_gc_candidates)', 'addresses')),
    ],
  },
  {
    title: 'Programs',
    panels: [
      panel(
        'Processor',
        'percentunit',
        query(rate('process_cpu_seconds_total{job=~".*calico.*"}'), '{{job}} {{instance}}'),
      ),
      panel(
        'Memory',
        'bytes',
        query('process_resident_memory_bytes{job=~".*calico.*"}', '{{job}} {{instance}}'),
      ),
    ],
  },
];

/** Every query, for tests. */
export const queries: readonly string[] = rows.flatMap(({ panels }) =>
  panels.flatMap((one) => one.queries.map(({ expr }) => expr)),
);

const [COLUMNS, HEIGHT, SINGLE_HEIGHT] = [24, 8, 4];
const DATASOURCE = {
  type: 'prometheus',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own variable
  uid: '${datasource}',
};

function panelsOf({ title, panels }: (typeof rows)[number], row: number): readonly object[] {
  const alone = panels.every((one) => one.single);
  const width = alone ? COLUMNS / panels.length : COLUMNS / 3;
  const height = alone ? SINGLE_HEIGHT : HEIGHT;
  const top = row * 100;
  const at = (i: number) => ({
    x: (i * width) % COLUMNS,
    y: top + 1 + Math.floor((i * width) / COLUMNS) * height,
    w: width,
    h: height,
  });
  return [
    {
      type: 'row',
      id: top + 1,
      title,
      collapsed: false,
      gridPos: { x: 0, y: top, w: COLUMNS, h: 1 },
      panels: [],
    },
    ...panels.map((one, i) => ({
      type: one.single ? 'stat' : 'timeseries',
      id: top + 2 + i,
      title: one.title,
      datasource: DATASOURCE,
      gridPos: at(i),
      fieldConfig: { defaults: { unit: one.unit }, overrides: [] },
      targets: one.queries.map(({ expr, legend }, n) => ({
        refId: String.fromCharCode(65 + n),
        datasource: DATASOURCE,
        expr,
        legendFormat: legend,
      })),
    })),
  ];
}

/** The JSON that Grafana imports. */
export const dashboard = (): string =>
  printJson({
    uid: 'calico-kit',
    title: 'Calico',
    tags: ['calico', 'kubernetes', 'networking'],
    schemaVersion: 39,
    editable: true,
    time: { from: 'now-1h', to: 'now' },
    refresh: '30s',
    templating: {
      list: [{ name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' }],
    },
    panels: rows.flatMap(panelsOf),
  });
