// What a connectivity test makes in its namespace: a pod that answers on every node, one that a policy
// guards, a service, and pods that call and tell what they found in their log.

export const PORT = 8080;
const PROGRAM = ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'connectivity'];
const NOBODY = 65534;

export interface TestOptions {
  readonly namespace: string;
  readonly image: string;
  /** Names of Secrets in kube-system. */
  readonly pullSecrets: readonly string[];
}

export interface Call {
  /** An address. */
  readonly to: string;
  readonly path: '/hello' | '/bulk';
  readonly words: string;
}

/** What a calling pod is told by its variable CALLS. */
export interface Order {
  readonly calls: readonly Call[];
  /** Whether they are to come through. */
  readonly wanted: boolean;
  /** How long it goes on calling until they all do as is wanted. */
  readonly withinMilliseconds: number;
}

/** The outcome of a call. */
export interface Answer {
  readonly call: Call;
  readonly ok: boolean;
  /** What went wrong, or what came. */
  readonly words: string;
  readonly ms: number;
  /** How often it was called until it did so; absent: once. */
  readonly tries?: number;
}

interface PodOptions {
  readonly name: string;
  readonly node: string;
  readonly role: 'server' | 'guarded' | 'caller';
  readonly order?: Order;
}

export const ROLE = 'calico-kit.io/connectivity';

/** A pod of the test, on a node of our choice whatever its taints. */
export function podOf(options: TestOptions, { name, node, role, order }: PodOptions): object {
  const probe = { httpGet: { path: '/hello', port: PORT }, periodSeconds: 1 };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: options.namespace, labels: { [ROLE]: role } },
    spec: {
      automountServiceAccountToken: false,
      containers: [
        {
          name: role,
          image: options.image,
          command: [...PROGRAM, order ? 'call' : 'serve'],
          ...(order ? { env: [{ name: 'CALLS', value: JSON.stringify(order) }] } : {}),
          ...(order ? {} : { ports: [{ containerPort: PORT }], readinessProbe: probe }),
          securityContext: RESTRICTED,
        },
      ],
      imagePullSecrets: options.pullSecrets.map((secret) => ({ name: secret })),
      nodeName: node,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      tolerations: [{ operator: 'Exists' }],
    },
  };
}

const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  runAsUser: NOBODY,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** What a registry asks for, as far as it is copied. */
export interface PullSecret {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** The Secret for the pods of the test, which may use those of their own namespace only. */
export const pullSecretOf = (
  { namespace }: TestOptions,
  name: string,
  { type, data }: PullSecret,
): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace, labels: { [ROLE]: 'pull-secret' } },
  ...{ type, data },
});

const SERVERS = { [ROLE]: 'server' };
export const SERVICE = 'connectivity-servers';
export const POLICY = 'connectivity-guard';

/** One address for all that answer. */
export const serviceOf = ({ namespace }: TestOptions): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: SERVICE, namespace },
  spec: { selector: SERVERS, ports: [{ port: PORT, targetPort: PORT }] },
});

/** Nobody may call the guarded pod. */
export const denyPolicy = ({ namespace }: TestOptions): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: POLICY, namespace },
  spec: { podSelector: { matchLabels: { [ROLE]: 'guarded' } }, policyTypes: ['Ingress'] },
});

/** A pod, as far as the test looks at it. */
export interface TestPod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
      };
    }[];
  };
}

export const isReady = ({ status }: Pick<TestPod, 'status'>): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

export const addressesOf = ({ status }: TestPod): readonly string[] =>
  (status?.podIPs ?? []).map(({ ip }) => ip);

export const roleOf = ({ metadata }: Pick<TestPod | PullSecret, 'metadata'>): string | undefined =>
  metadata.labels?.[ROLE];

/** Why a pod does not run yet, for a person. */
export const stateOf = ({ metadata, spec, status }: TestPod): string => {
  const waiting = status?.containerStatuses?.[0]?.state?.waiting;
  const why = waiting?.message ?? waiting?.reason ?? status?.phase ?? 'unknown';
  return `${metadata.name} on ${spec.nodeName}: ${why}`;
};
