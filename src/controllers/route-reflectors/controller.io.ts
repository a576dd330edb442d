// Automatic route reflectors, opt-in: looks when a node changes, takes one step at a time, and lets the
// speakers settle between two. Every step is one transaction on what was read.
import { hex } from '../../base/hash.ts';
import { messageOf, OpError } from '../../base/op-error.ts';
import type { Compare, Write } from '../../datastore/store.ts';
import type { KubernetesApi, Node as KubernetesNode } from '../../kubernetes/api.ts';
import type { BgpConfigurationSpec } from '../../model/bgp-configuration.ts';
import { parseKey, resourceKey } from '../../model/keys.ts';
import type { Node, NodeSpec } from '../../model/node.ts';
import { API_VERSION, parseResource, printResource, type Resource } from '../../model/resource.ts';
import { ALL, type Selector } from '../../model/selector/selector.ts';
import type { Controller } from '../controller.ts';
import { watchKind } from '../kind-watch.io.ts';
import type { ControllerParts } from '../reconcile.io.ts';
import { type Facts, nextStep, type Step } from './decide.ts';
import { candidateOf, clusterIdOf, deadAt, REFLECTOR_LABEL, type Seen, seenOf } from './gather.ts';

export type ReflectorParts = ControllerParts & {
  readonly kubernetes: KubernetesApi;
  /** In each zone; 0 takes away what an earlier run made. */
  readonly perZone: number;
  /** Nodes that may become reflectors, by their labels in Kubernetes; absent: any. */
  readonly wanted?: Selector;
  /** What sessions and routes get to settle after a step. */
  readonly settleMilliseconds?: number;
};

/** A session comes up within seconds; routes follow within one. */
const SETTLE_MILLISECONDS = 15_000;
const RETRY_MILLISECONDS = 1000;
const PEER = 'calico-kit-route-reflectors';
const PEER_KEY = resourceKey('bgppeers', PEER);
const BGP_KEY = resourceKey('bgpconfigurations', 'default');
const PEER_SPEC = { nodeSelector: 'all()', peerSelector: `has(${REFLECTOR_LABEL})` };

export function reflectorController(parts: ReflectorParts): Controller {
  const reflectors = new RouteReflectors(parts);
  return {
    get problem() {
      return reflectors.problem;
    },
    get failing() {
      return reflectors.failure === undefined ? [] : [`route reflectors (${reflectors.failure})`];
    },
  };
}

interface Stored<T extends Resource<string, object>> {
  readonly resource: T;
  readonly revision: bigint;
}

class RouteReflectors {
  failure: string | undefined;
  private readonly parts: ReflectorParts;
  private readonly settle: number;
  private readonly seen = new Map<string, Seen>();
  private readonly watch;
  private timer: NodeJS.Timeout | undefined;
  private busy = false;
  /** What the decision rests on, and since when it has been so. */
  private picture = '';
  private unchangedSince = 0;

  constructor(parts: ReflectorParts) {
    this.parts = parts;
    this.settle = parts.settleMilliseconds ?? SETTLE_MILLISECONDS;
    const note = (node: KubernetesNode): void => {
      const { name } = node.metadata;
      const { wanted = ALL, clock } = parts;
      this.seen.set(name, seenOf(node, wanted, this.seen.get(name), clock.now()));
    };
    this.watch = watchKind(parts, 'nodes', {
      snapshot: (nodes) => {
        const names = new Set(nodes.map(({ metadata }) => metadata.name));
        for (const name of this.seen.keys()) if (!names.has(name)) this.seen.delete(name);
        for (const node of nodes) note(node);
        this.lookIn(0);
      },
      put: (node) => {
        note(node);
        this.lookIn(0);
      },
      gone: ({ metadata }) => {
        this.seen.delete(metadata.name);
        this.lookIn(0);
      },
    });
    parts.mirror.onChange((key) => {
      const parsed = parseKey(key);
      const isNode = parsed?.kind === 'resource' && parsed.plural === 'nodes';
      if (isNode || key === PEER_KEY || key === BGP_KEY) this.lookIn(0);
    });
    parts.mirror.onSnapshot(() => this.lookIn(0));
    parts.signal.addEventListener('abort', () => clearTimeout(this.timer), { once: true });
  }

  get problem(): string | undefined {
    return this.watch.problem;
  }

  private lookIn(milliseconds: number): void {
    if (this.parts.signal.aborted) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.look(), milliseconds);
  }

  private async look(): Promise<void> {
    if (this.busy || !this.watch.inSync || !this.parts.mirror.inSync) return;
    this.busy = true;
    try {
      // One moment for both questions: what is settled and what is yet to settle leave no gap.
      const now = this.parts.clock.now();
      const step = this.next(now);
      if (step) await this.take(step);
      this.failure = undefined;
      this.lookIn(step ? 0 : this.untilNextLook(now));
    } catch (cause) {
      this.failure = messageOf(cause);
      this.parts.log.warn({ cause: this.failure }, 'route reflectors: will be tried again');
      this.lookIn(RETRY_MILLISECONDS);
    } finally {
      this.busy = false;
    }
  }

  private next(now: number): Step | undefined {
    const { perZone } = this.parts;
    const nodes = this.nodes().flatMap(
      ({ resource }) => candidateOf(resource, (name) => this.seen.get(name), now) ?? [],
    );
    const configuration = this.stored<BgpConfigurationSpec>('BGPConfiguration', BGP_KEY);
    const facts: Omit<Facts, 'settled'> = {
      nodes,
      perZone,
      meshEnabled: configuration?.resource.spec.nodeToNodeMeshEnabled ?? true,
      peerInPlace: this.isPeerInPlace(),
    };
    const picture = JSON.stringify(facts);
    if (picture !== this.picture) [this.picture, this.unchangedSince] = [picture, now];
    const settled = now >= this.unchangedSince + this.settle;
    return nextStep({ ...facts, settled }, (name) => hex('sha256', name));
  }

  /** Until something may have settled, or an unready node counts as dead. */
  private untilNextLook(now: number): number {
    const deaths = [...this.seen.values()].flatMap((seen) => deadAt(seen) ?? []);
    const moments = [this.unchangedSince + this.settle, ...deaths].filter((at) => at > now);
    return Math.min(...moments.map((at) => at - now), 2 ** 31 - 1);
  }

  private nodes(): readonly Stored<Node>[] {
    return this.parts.mirror.keys().flatMap((key) => {
      const parsed = parseKey(key);
      if (parsed?.kind !== 'resource' || parsed.plural !== 'nodes') return [];
      return (this.stored<NodeSpec>('Node', key) as Stored<Node> | undefined) ?? [];
    });
  }

  private stored<Spec extends object>(
    kind: string,
    key: string,
  ): Stored<Resource<string, Spec>> | undefined {
    const item = this.parts.mirror.get(key);
    const parsed = item && parseResource<string, Spec>(kind, item.value);
    return parsed?.ok ? { resource: parsed.value, revision: item!.revision } : undefined;
  }

  private isPeerInPlace(): boolean {
    const spec = this.stored<Partial<typeof PEER_SPEC>>('BGPPeer', PEER_KEY)?.resource.spec;
    return (
      spec?.nodeSelector === PEER_SPEC.nodeSelector && spec.peerSelector === PEER_SPEC.peerSelector
    );
  }

  private async take(step: Step): Promise<void> {
    const { store, mirror, log } = this.parts;
    const changes = this.changesOf(step);
    const compares: Compare[] = changes.map(({ key }) => ({
      key,
      revision: mirror.get(key)?.revision ?? 0n,
    }));
    const result = await store.transaction(compares, changes);
    if (result.kind === 'conflict') throw new OpError(step.kind, 'another writer was first');
    for (const change of changes) {
      if (change.kind === 'delete') mirror.forget(change.key);
      else mirror.learn({ key: change.key, value: change.value, revision: result.revision });
    }
    log.info({ ...step }, 'route reflectors');
  }

  private changesOf(step: Step): readonly Write[] {
    switch (step.kind) {
      case 'label':
        return [
          ...(this.isPeerInPlace() ? [] : [this.peerWrite()]),
          ...step.nodes.map((name) => this.nodeWrite(name, labelled)),
        ];
      case 'unlabel':
        return step.nodes.map((name) => this.nodeWrite(name, unlabelled));
      case 'reflect':
        return step.nodes.map((name) => this.nodeWrite(name, reflecting));
      case 'stopReflecting':
        return step.nodes.map((name) => this.nodeWrite(name, notReflecting));
      case 'meshOff':
      case 'meshOn':
        return [this.meshWrite(step.kind === 'meshOn')];
      case 'removePeer':
        return [{ kind: 'delete', key: PEER_KEY }];
    }
  }

  private nodeWrite(name: string, change: (node: Node) => Node): Write {
    const key = resourceKey('nodes', name);
    const node = this.stored<NodeSpec>('Node', key) as Stored<Node> | undefined;
    if (!node) throw new OpError(`Node ${name}`, 'it is gone');
    return { kind: 'put', key, value: printResource(change(node.resource)) };
  }

  private peerWrite(): Write {
    return { kind: 'put', key: PEER_KEY, value: this.print('BGPPeer', PEER_KEY, PEER, PEER_SPEC) };
  }

  private meshWrite(nodeToNodeMeshEnabled: boolean): Write {
    const spec = this.stored<BgpConfigurationSpec>('BGPConfiguration', BGP_KEY)?.resource.spec;
    const changed = { ...spec, nodeToNodeMeshEnabled };
    const value = this.print('BGPConfiguration', BGP_KEY, 'default', changed);
    return { kind: 'put', key: BGP_KEY, value };
  }

  private print(kind: string, key: string, name: string, spec: object): string {
    const stored = this.stored<object>(kind, key)?.resource;
    const creationTimestamp = this.parts.clock
      .date()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
    const metadata = stored?.metadata ?? { name, creationTimestamp };
    return printResource({ ...stored, kind, apiVersion: API_VERSION, metadata, spec });
  }
}

const labelled = (node: Node): Node => ({
  ...node,
  metadata: { ...node.metadata, labels: { ...node.metadata.labels, [REFLECTOR_LABEL]: 'true' } },
});

function unlabelled(node: Node): Node {
  const { [REFLECTOR_LABEL]: _ours, ...labels } = node.metadata.labels ?? {};
  return { ...node, metadata: { ...node.metadata, labels } };
}

function reflecting(node: Node): Node {
  const routeReflectorClusterID = clusterIdOf(node.spec.bgp);
  if (!routeReflectorClusterID)
    throw new OpError(`Node ${node.metadata.name}`, 'it has no BGP address');
  return { ...node, spec: { ...node.spec, bgp: { ...node.spec.bgp, routeReflectorClusterID } } };
}

function notReflecting(node: Node): Node {
  const { routeReflectorClusterID: _ours, ...bgp } = node.spec.bgp ?? {};
  return { ...node, spec: { ...node.spec, bgp } };
}
