// The parts of Kubernetes objects that the constructs fill in, typed so that a misspelt field
// does not compile. Only what is used here; a field takes a value or an expression where the
// settings reach it.
import type { Context } from '../helm/context.ts';
import type { Of } from '../helm/expr.ts';
import { and, beside, eachNamed, eachOf, eq, list, not, some, when } from '../helm/functions.ts';

export const NAMESPACE = 'kube-system';
export const ETCD_CONFIG = 'calico-etc';

export interface EnvironmentVariable {
  readonly name: Of<string>;
  readonly value?: Of<string>;
  readonly valueFrom?:
    | { readonly fieldRef: { readonly fieldPath: string } }
    | {
        readonly configMapKeyRef: {
          readonly name: string;
          readonly key: string;
          readonly optional?: boolean;
        };
      };
}

export interface Probe {
  readonly httpGet: {
    readonly host: Of<string> | undefined;
    readonly path: string;
    readonly port: Of<number>;
  };
  readonly periodSeconds: number;
  readonly failureThreshold: number;
  readonly initialDelaySeconds?: number;
  readonly timeoutSeconds?: number;
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
  readonly mountPropagation?: 'HostToContainer';
}

export interface HostVolume {
  readonly name: string;
  readonly hostPath: {
    readonly path: Of<string>;
    readonly type?: 'Directory' | 'DirectoryOrCreate' | 'FileOrCreate';
  };
}

export type Volume =
  | HostVolume
  | { readonly name: string; readonly configMap: { readonly name: string } }
  | {
      readonly name: string;
      readonly secret: { readonly secretName: Of<string>; readonly optional?: boolean };
    }
  | { readonly name: string; readonly persistentVolumeClaim: { readonly claimName: Of<string> } }
  | { readonly name: string; readonly projected: { readonly sources: readonly object[] } };

/** What a user may add to pods: openstack-helm's `pod` section, one part of it. */
export interface PodSettings {
  readonly resources: Of<object>;
  readonly labels: Of<Readonly<Record<string, string>>>;
  readonly annotations: Of<Readonly<Record<string, string>>>;
  readonly extra_env: Of<readonly object[]>;
  readonly tolerations: Of<readonly object[]>;
  readonly priority_class: Of<string>;
  readonly node_selector: Of<Readonly<Record<string, string>>>;
  readonly app_armor: Of<'' | 'RuntimeDefault' | 'Unconfined'>;
}

export interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation: boolean;
  readonly seccompProfile?: { readonly type: 'RuntimeDefault' };
  readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
}

export interface Container {
  readonly name: string;
  readonly image: Of<string>;
  readonly imagePullPolicy: Of<string>;
  readonly command: readonly Of<string>[];
  readonly env?: readonly Of<EnvironmentVariable>[];
  readonly resources?: Of<object>;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly ports?: readonly Of<{ readonly name: string; readonly containerPort: Of<number> }>[];
  readonly securityContext: SecurityContext;
  readonly terminationMessagePolicy?: 'FallbackToLogsOnError';
  readonly volumeMounts?: readonly Of<VolumeMount>[];
}

export interface PodSpec {
  readonly affinity?: Of<object>;
  readonly automountServiceAccountToken?: boolean;
  readonly containers: readonly Of<Container>[];
  readonly hostNetwork: Of<boolean>;
  readonly imagePullSecrets?: Of<readonly Of<{ readonly name: string }>[]> | undefined;
  readonly initContainers?: readonly Of<Container>[];
  readonly nodeSelector: Of<Readonly<Record<string, string>>>;
  readonly priorityClassName?: Of<string>;
  readonly restartPolicy?: 'Never';
  readonly securityContext: object;
  readonly serviceAccountName?: string;
  readonly terminationGracePeriodSeconds: Of<number>;
  readonly tolerations: Of<readonly object[]>;
  readonly volumes?: readonly Of<Volume>[];
}

const ON_LINUX = { 'kubernetes.io/os': 'linux' };
const RUNTIME_DEFAULT = { type: 'RuntimeDefault' } as const;

/** Every node, whatever taint it carries: networking comes before readiness. */
export const everywhere = {
  hostNetwork: true,
  nodeSelector: ON_LINUX,
  securityContext: { seccompProfile: RUNTIME_DEFAULT },
  tolerations: [{ operator: 'Exists' }],
} as const;

/** Where and how pods run by the settings, and with which Secrets their images are pulled. */
export const placed = (
  { tolerations, priority_class, node_selector, app_armor }: PodSettings,
  { pull_secrets }: { readonly pull_secrets: Of<readonly string[]> },
  { isAtLeast }: Context,
) => ({
  hostNetwork: true as Of<boolean>,
  nodeSelector: beside(ON_LINUX, node_selector),
  priorityClassName: priority_class,
  securityContext: {
    seccompProfile: RUNTIME_DEFAULT,
    // An annotation before 1.30, and the field unknown.
    appArmorProfile: when(and(not(eq(app_armor, '')), isAtLeast('1.30')), { type: app_armor }),
  },
  tolerations,
  // Without any there is no field: a loop without items would be null.
  imagePullSecrets: when(
    some(pull_secrets),
    list<Of<{ readonly name: string }>>(eachNamed('secret', pull_secrets)),
  ),
});

/** Metadata of pods: ours, and what a user adds. */
export const podMetadata = (
  app: string,
  { labels, annotations }: PodSettings,
  ours: Readonly<Record<string, Of<string>>>,
) => ({ labels: beside(labelsOf(app), labels), annotations: beside(ours, annotations) });

/** Variables of ours, then a user's. */
export const withMore = (
  ours: readonly Of<EnvironmentVariable>[],
  { extra_env }: PodSettings,
): readonly Of<EnvironmentVariable>[] =>
  list<Of<EnvironmentVariable>>(
    ours,
    eachOf('extra', extra_env as Of<readonly EnvironmentVariable[]>),
  );

export const labelsOf = (app: string) => ({ 'k8s-app': app });

/** Metadata of a namespaced object. */
export const metadataOf = (name: string, app = name) => ({
  name,
  namespace: NAMESPACE,
  labels: labelsOf(app),
});

/** A variable read from the ConfigMap when the container starts; its change restarts nothing. */
export const fromConfig = (name: string, key: string): EnvironmentVariable => ({
  name,
  valueFrom: { configMapKeyRef: { name: ETCD_CONFIG, key } },
});

export const fromField = (name: string, fieldPath: string): EnvironmentVariable => ({
  name,
  valueFrom: { fieldRef: { fieldPath } },
});

/** A health endpoint that a program serves on loopback of the node's network. */
export const probe = (path: string, port: Of<number>): Probe => ({
  httpGet: { host: '127.0.0.1', path, port },
  periodSeconds: 10,
  failureThreshold: 6,
  timeoutSeconds: 5,
});

export const hostPath = (
  name: string,
  path: Of<string>,
  type: NonNullable<HostVolume['hostPath']['type']>,
): Volume => ({ name, hostPath: { path, type } });

/** The least that a container needs: these capabilities, and nothing of its own to write to. */
export const dropAll = (...add: string[]): SecurityContext => ({
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'], ...(add.length > 0 ? { add } : {}) },
  readOnlyRootFilesystem: true,
});
