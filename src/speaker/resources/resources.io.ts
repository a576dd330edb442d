// What the datastore and the Secrets say, followed, and what this node has to do by it. Nothing is
// told before the first listing of every part has arrived.
import type { Log } from '../../base/log.io.ts';
import type { Change, Store } from '../../datastore/store.ts';
import type { KubernetesApi } from '../../kubernetes/api.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { OwnRoutes } from '../../routes/own.ts';
import { type Demand, demandOf } from './demand.ts';
import { isToldAlone, ownRoutesOf, peersWithPods } from './own.ts';
import { Secrets, type SecretTexts } from './secrets.io.ts';
import {
  addressesOf,
  concerns,
  isInSync,
  newView,
  PARTS,
  prefixOf,
  type SpeakerView,
  takeChanges,
  takeListing,
} from './view.ts';

export interface ResourcesParts {
  readonly store: Store;
  readonly kubernetes?: KubernetesApi | undefined;
  /** The node's name in the datastore. */
  readonly node: string;
  /** FELIX_PROGRAMCLUSTERROUTES. */
  readonly agentRoutes?: string | undefined;
  /** Where Secrets are. */
  readonly namespace?: string | undefined;
  readonly log: Log;
  /** The demand is another one, or the own routes are. */
  readonly changed: () => void;
  /** Nothing but own endpoints changed; these are addresses that they held or hold now. */
  readonly endpoints: (touched: readonly Cidr[]) => void;
}

export class Resources {
  private readonly parts: ResourcesParts;
  private readonly view: SpeakerView;
  private readonly secrets: Secrets;
  private readonly stopping = new AbortController();
  private latest: Demand;
  /** Undefined: to be derived anew from the view. */
  private freshOwn: OwnRoutes | undefined;
  /** Problems of the demand that were logged. */
  private named: ReadonlySet<string> = new Set();

  constructor(parts: ResourcesParts) {
    this.parts = parts;
    this.view = newView(parts.node, parts.agentRoutes);
    this.latest = demandOf(this.view);
    this.secrets = new Secrets({
      kubernetes: parts.kubernetes,
      namespace: parts.namespace ?? 'kube-system',
      log: parts.log,
      changed: (name, texts) => this.heardOfSecret(name, texts),
    });
    for (const part of PARTS) this.follow(part);
  }

  get demand(): Demand {
    return this.latest;
  }

  get own(): OwnRoutes {
    this.freshOwn ??= ownRoutesOf(this.view);
    return this.freshOwn;
  }

  get inSync(): boolean {
    return isInSync(this.view);
  }

  /** Whether an own endpoint's address is told by itself. */
  isToldAlone(address: Cidr): boolean {
    return isToldAlone(this.view, address);
  }

  close(): void {
    this.stopping.abort();
    this.secrets.close();
  }

  private follow(part: (typeof PARTS)[number]): void {
    const { store, node, log } = this.parts;
    const watcher = {
      snapshot: ({ items }: { readonly items: Parameters<typeof takeListing>[2] }) =>
        this.heard(takeListing(this.view, part, items)),
      changes: (changes: readonly Change[]) => {
        const mine = changes.filter((change) => concerns(this.view, change));
        if (mine.length === 0) return;
        if (part === 'workloadendpoints') this.heardOfEndpoints(mine);
        else if (part === 'profiles' && !peersWithPods(this.view))
          this.logSkipped(takeChanges(this.view, mine));
        else this.heard(takeChanges(this.view, mine));
      },
      connection: ({ up, error }: { readonly up: boolean; readonly error?: Error | undefined }) =>
        up
          ? log.info({ part }, 'datastore connection is up')
          : log.warn({ part, cause: error?.message }, 'datastore connection lost'),
    };
    store.watch(prefixOf(part, node), watcher, this.stopping.signal);
  }

  // A pod in a block of this node, as nearly every one, changes nothing that anybody must hear.
  private heardOfEndpoints(changes: readonly Change[]): void {
    const before = addressesOf(this.view, changes);
    const skipped = takeChanges(this.view, changes);
    if (peersWithPods(this.view)) {
      this.heard(skipped);
      return;
    }
    this.logSkipped(skipped);
    this.freshOwn = undefined;
    if (this.inSync) this.parts.endpoints([...before, ...addressesOf(this.view, changes)]);
  }

  private heardOfSecret(name: string, texts: SecretTexts | undefined): void {
    if (texts) this.view.secrets.set(name, texts);
    else this.view.secrets.delete(name);
    this.heard([]);
  }

  private heard(skipped: readonly string[]): void {
    this.logSkipped(skipped);
    if (!this.inSync) return;
    this.latest = demandOf(this.view);
    this.freshOwn = undefined;
    const { problems, secrets } = this.latest;
    for (const problem of problems)
      if (!this.named.has(problem)) this.parts.log.error({ problem }, 'not as asked for');
    this.named = new Set(problems);
    this.parts.changed();
    for (const name of this.view.secrets.keys())
      if (!secrets.has(name)) this.view.secrets.delete(name);
    this.secrets.follow(secrets);
  }

  private logSkipped(problems: readonly string[]): void {
    for (const problem of problems) this.parts.log.error({ problem }, 'object skipped');
  }
}
