// What a connectivity test makes in the cluster: a namespace of its own with a pod on every node, one
// more that a policy guards, and a service.

export const PORT = 8080;
/** Where pods of the test run their program. */
const COMMAND = ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'connectivity', 'serve'];
const NOBODY = 65534;

export interface TestOptions {
  readonly namespace: string;
  readonly image: string;
  readonly pullSecrets: readonly string[];
}

/** An object, and the collection that it is made in. */
export interface Made {
  readonly path: string;
  readonly object: object;
}

const PROBE = 'probe';
const GUARDED = 'guarded';
const labels = (app: string) => ({ app });

/** In the order in which they are made. */
export function testObjects(options: TestOptions): readonly Made[] {
  const { namespace } = options;
  const within = `namespaces/${namespace}`;
  const workload = (kind: 'DaemonSet' | 'Deployment', name: string): object => ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: labels(name) },
      template: { metadata: { labels: labels(name) }, spec: podSpec(options) },
    },
  });
  return [
    {
      path: '/api/v1/namespaces',
      object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    },
    {
      path: `/api/v1/${within}/services`,
      object: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: PROBE, namespace },
        spec: { selector: labels(PROBE), ports: [{ port: PORT, targetPort: PORT }] },
      },
    },
    { path: `/apis/apps/v1/${within}/daemonsets`, object: workload('DaemonSet', PROBE) },
    { path: `/apis/apps/v1/${within}/deployments`, object: workload('Deployment', GUARDED) },
  ];
}

const podSpec = ({ image, pullSecrets }: TestOptions): object => ({
  automountServiceAccountToken: false,
  containers: [
    {
      name: 'serve',
      image,
      command: COMMAND,
      ports: [{ containerPort: PORT }],
      readinessProbe: { httpGet: { path: '/hello', port: PORT }, periodSeconds: 1 },
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        runAsUser: NOBODY,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    },
  ],
  imagePullSecrets: pullSecrets.map((name) => ({ name })),
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  terminationGracePeriodSeconds: 0,
  tolerations: [{ operator: 'Exists' }],
});

/** Nobody may call the guarded pod. */
export const denyPolicy = ({ namespace }: TestOptions): Made => ({
  path: `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
  object: {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: GUARDED, namespace },
    spec: { podSelector: { matchLabels: labels(GUARDED) }, policyTypes: ['Ingress'] },
  },
});

/** A pod, as far as the test looks at it. */
export interface TestPod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly nodeName?: string };
  readonly status?: {
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export const isReady = ({ status }: TestPod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

export const addressesOf = ({ status }: TestPod): readonly string[] =>
  (status?.podIPs ?? []).map(({ ip }) => ip);

export const isProbe = ({ metadata }: TestPod): boolean => metadata.labels?.['app'] === PROBE;
export const isGuarded = ({ metadata }: TestPod): boolean => metadata.labels?.['app'] === GUARDED;
