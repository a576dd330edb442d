// The node's own routes and addresses that BGPConfiguration lets it tell, followed. The kernel is looked at
// only while it names a prefix, and again when something within one changes.
import type { Kernel, KernelEvent } from '../../kernel/kernel.ts';
import { type Cidr, hostCidr } from '../../net/cidr.ts';
import { additionalRoutes, isAdditional } from '../../routes/additional.ts';

/** Changes that come together are looked at together. */
const SETTLE_MS = 50;

export interface AdditionalParts {
  readonly kernel: Kernel;
  /** The routes are others. */
  readonly changed: () => void;
}

export class Additional {
  private readonly parts: AdditionalParts;
  within: readonly Cidr[] = [];
  pools: readonly Cidr[] = [];
  private watching: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;
  private found: readonly Cidr[] = [];
  /** The links that routes and addresses were found on. */
  private links: ReadonlySet<number> = new Set();

  constructor(parts: AdditionalParts) {
    this.parts = parts;
  }

  /** What BGPConfiguration and the pools say now. */
  set(within: readonly Cidr[], pools: readonly Cidr[]): void {
    if (String(within) === String(this.within) && String(pools) === String(this.pools)) return;
    this.within = within;
    this.pools = pools;
    if (within.length === 0) this.close();
    else {
      this.watch();
      this.look();
    }
  }

  get routes(): readonly Cidr[] {
    return this.found;
  }

  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.watching?.abort();
    this.watching = undefined;
    this.found = [];
  }

  private watch(): void {
    if (this.watching) return;
    this.watching = new AbortController();
    this.parts.kernel.subscribe((event) => {
      if (this.concerns(event)) this.timer ??= setTimeout(() => this.lookAgain(), SETTLE_MS);
    }, this.watching.signal);
  }

  // Links of pods come and go all the time; routes over a link go with it, without a word.
  private concerns(event: KernelEvent): boolean {
    if (event.kind === 'route') return isAdditional(event.route.destination, this);
    if (event.kind === 'address') return isAdditional(hostCidr(event.address.ip), this);
    if (event.kind === 'link')
      return (event.gone || !event.link.up) && this.links.has(event.link.index);
    return event.kind === 'lost';
  }

  private lookAgain(): void {
    this.timer = undefined;
    const before = String(this.found);
    this.look();
    if (String(this.found) !== before) this.parts.changed();
  }

  private look(): void {
    const { kernel } = this.parts;
    const routes = kernel.routes();
    const addresses = kernel.addresses();
    this.found = additionalRoutes({ within: this.within, pools: this.pools, routes, addresses });
    const told = new Set(this.found);
    const links = [
      ...routes.flatMap((r) => (told.has(r.destination) ? linksOf(r) : [])),
      ...addresses.flatMap((a) => (told.has(hostCidr(a.ip)) ? [a.linkIndex] : [])),
    ];
    this.links = new Set(links);
  }
}

const linksOf = ({ linkIndex, hops }: ReturnType<Kernel['routes']>[number]): readonly number[] =>
  hops?.map((hop) => hop.linkIndex) ?? (linkIndex === undefined ? [] : [linkIndex]);
