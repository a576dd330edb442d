// A Kubernetes cluster for tests and demonstrations, behind a small interface: network namespaces
// (netns/) or containers by kind (kind/).

export interface ClusterNode {
  readonly name: string;
  /** Address on the fabric. */
  readonly address: string;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  /** Makes the cluster; removes a stale one of the same name first. Nodes have no CNI yet. */
  create(progress: (what: string) => void): Promise<void>;
  /** Imports image archives into every node. */
  loadImages(archives: readonly string[]): Promise<void>;
  /** Path of an administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Runs a command inside a node's namespaces; answers stdout, throws with stderr. */
  enter(node: string, argv: readonly string[]): Promise<string>;
  kubectl(args: readonly string[], input?: string): Promise<string>;
  helm(args: readonly string[]): Promise<string>;
  /** Programs that are built before it is made (tools.ts), so that their progress can be told. */
  readonly tools: readonly string[];
  /** Commands that a person may try on it. */
  readonly hints: readonly string[];
  /** Whether a created cluster is there. */
  exists(): boolean;
  /** Ends everything and leaves nothing behind; fine when there is nothing. */
  delete(): Promise<void>;
}
