// The Kubernetes port: the few kinds we read, trimmed to the fields we use, by list and watch; and
// the few writes we do. Twins: client.io.ts and memory.ts, both under api.cases.ts.

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deletionTimestamp?: string;
}

export interface ContainerPort {
  readonly name?: string;
  readonly protocol?: string;
  readonly containerPort: number;
  readonly hostPort?: number;
  readonly hostIP?: string;
}

export interface Pod {
  readonly metadata: Metadata;
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly serviceAccountName?: string;
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly ContainerPort[];
    }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
  };
}

const FINISHED = ['Succeeded', 'Failed'];

/** All containers have ended, and none will start again (PodPhase). */
export const isFinished = ({ status }: Pick<Pod, 'status'>): boolean =>
  FINISHED.includes(status?.phase ?? '');

export interface Namespace {
  readonly metadata: Metadata;
}

export interface ServiceAccount {
  readonly metadata: Metadata;
}

export interface Node {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly podCIDR?: string;
    readonly podCIDRs?: readonly string[];
    /** Cordoned. */
    readonly unschedulable?: boolean;
    readonly taints?: readonly { readonly key: string }[];
  };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export interface Secret {
  readonly metadata: Metadata;
  /** Values in base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** apps/v1. */
export interface StatefulSet {
  readonly metadata: Metadata;
  /** Absent replicas mean one; ordinals begin at `ordinals.start`. */
  readonly spec: {
    readonly replicas?: number;
    readonly ordinals?: { readonly start?: number };
  };
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

export interface NetworkPolicyPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

export interface NetworkPolicyPort {
  readonly protocol?: string;
  readonly port?: number | string;
  readonly endPort?: number;
}

/** networking.k8s.io/v1. */
export interface NetworkPolicy {
  readonly metadata: Metadata;
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly {
      readonly from?: readonly NetworkPolicyPeer[];
      readonly ports?: readonly NetworkPolicyPort[];
    }[];
    readonly egress?: readonly {
      readonly to?: readonly NetworkPolicyPeer[];
      readonly ports?: readonly NetworkPolicyPort[];
    }[];
  };
}

export interface Service {
  readonly metadata: Metadata;
  readonly spec: {
    readonly type?: string;
    /** `None`: headless. */
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly externalIPs?: readonly string[];
    readonly externalTrafficPolicy?: string;
  };
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] };
  };
}

/** discovery.k8s.io/v1; the label `kubernetes.io/service-name` names its Service. */
export interface EndpointSlice {
  readonly metadata: Metadata;
  /** `IPv4`, `IPv6` or `FQDN`. */
  readonly addressType: string;
  readonly endpoints?: readonly {
    readonly addresses?: readonly string[];
    readonly nodeName?: string;
    /** Absent `ready`: ready. */
    readonly conditions?: { readonly ready?: boolean };
  }[];
  readonly ports?: readonly { readonly protocol?: string; readonly port?: number }[];
}

/** A Service or an EndpointSlice with all that it says, but for who wrote it. */
export interface WholeObject {
  readonly metadata: Metadata;
}

/** The kinds that can be listed and watched. */
export interface Kinds {
  pods: Pod;
  namespaces: Namespace;
  serviceaccounts: ServiceAccount;
  nodes: Node;
  networkpolicies: NetworkPolicy;
  statefulsets: StatefulSet;
  secrets: Secret;
  services: Service;
  endpointslices: EndpointSlice;
  /** The same objects for who serves them: every field of spec, status, endpoints and ports. */
  wholeservices: WholeObject;
  wholeendpointslices: WholeObject;
}

export interface KindWatcher<T> {
  /** The whole state: at first, and again when history was lost (410 Gone). */
  snapshot(items: readonly T[]): void;
  put(item: T): void;
  gone(item: T): void;
  /** The watch broke, for this reason or now for another, or it came back; it goes on by itself. */
  connection?(up: boolean, error?: Error): void;
}

export interface WatchOptions {
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly signal: AbortSignal;
}

export interface KubernetesApi {
  getPod(namespace: string, name: string): Promise<Pod | undefined>;
  getNode(name: string): Promise<Node | undefined>;
  getNamespace(name: string): Promise<Namespace | undefined>;
  /** Whether KubeVirt has a VirtualMachine, or a VirtualMachineInstance, of the name. */
  hasMachine(namespace: string, name: string): Promise<boolean>;
  /**
   * Lists, then watches with resume; `fieldSelector` e.g. `spec.nodeName=n1`. Without a namespace:
   * all namespaces.
   */
  watch<K extends keyof Kinds>(
    kind: K,
    watcher: KindWatcher<Kinds[K]>,
    options: WatchOptions,
  ): void;
  /** Sets the node's NetworkUnavailable condition (strategic merge patch of nodes/status). */
  setNetworkUnavailable(
    node: string,
    condition: { readonly unavailable: boolean; readonly reason: string; readonly message: string },
  ): Promise<void>;
  /** Makes an event of type Warning on the node, which `kubectl describe node` shows. */
  warnOfNode(node: string, warning: NodeWarning): Promise<void>;
}

export interface NodeWarning {
  /** One word in upper camel case. */
  readonly reason: string;
  readonly message: string;
}
