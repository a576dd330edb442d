// The addresses that pods speak BGP to (BGPConfiguration `localWorkloadPeeringIPV4` and `IPV6`), as single
// addresses on the host ends of those pods' links. Of what stands on `cali` links only such addresses
// are ours. Those of an earlier run stay until its routes are swept; what somebody takes away comes
// back.
import type { Log } from '../base/log.io.ts';
import { messageOf } from '../base/op-error.ts';
import type {
  InterfaceAddressOfLink,
  Kernel,
  KernelEvent,
  Link,
  LinkChange,
  Route,
} from '../kernel/kernel.ts';
import { ROUTE_PROTOCOL } from '../kernel/kernel.ts';
import { bitsOf, familyOf, type Ip } from '../net/ip.ts';

const RETRY_MS = 1000;
/** Host ends of pods' links. */
const PREFIX = 'cali';

/** Addresses that are wanted, by the names of links. */
export type WantedAddresses = ReadonlyMap<string, readonly Ip[]>;

export interface PresentOnLinks {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddressOfLink[];
  readonly routes: readonly Route[];
}

/**
 * From what is on the links to what is wanted on them. With a link's last IPv4 address the kernel drops the
 * link's routes, so that the pod's own come again in the same breath.
 */
export function addressChanges(
  { links, addresses, routes }: PresentOnLinks,
  wanted: WantedAddresses,
  kept: (link: string, ip: Ip) => boolean = () => false,
): readonly LinkChange[] {
  return links
    .filter(({ name }) => name.startsWith(PREFIX))
    .flatMap(({ index: linkIndex, name }) => {
      const goals = wanted.get(name) ?? [];
      const present = addresses.filter((a) => a.linkIndex === linkIndex);
      const ours = present.filter(isOurs).map(({ ip }) => ip);
      const change = (kind: 'addAddress' | 'deleteAddress') => (ip: Ip) => ({
        ...{ kind, linkIndex, ip, prefixLength: bitsOf(familyOf(ip)) },
        ...(familyOf(ip) === 4 ? { scope: 'link' as const } : {}),
      });
      const come = goals.filter((ip) => !ours.includes(ip));
      const go = ours.filter((ip) => !goals.includes(ip) && !kept(name, ip));
      const four = (list: readonly Ip[]) => list.filter((ip) => familyOf(ip) === 4).length;
      const left = four(present.map(({ ip }) => ip)) + four(come) - four(go);
      const dropped = four(go) > 0 && left === 0 ? routes.filter((r) => isOfPod(r, linkIndex)) : [];
      return [
        ...come.map(change('addAddress')),
        ...go.map(change('deleteAddress')),
        ...dropped.map((route) => ({ kind: 'addRoute' as const, route })),
      ];
    });
}

const isOurs = ({ ip, prefixLength, scope }: InterfaceAddressOfLink): boolean =>
  familyOf(ip) === 4 ? prefixLength === 32 && scope === 'link' : prefixLength === 128;

const isOfPod = ({ linkIndex, protocol, destination }: Route, link: number): boolean =>
  linkIndex === link && protocol === ROUTE_PROTOCOL.boot && !destination.includes(':');

export class PeeringAddresses {
  private readonly kernel: Kernel;
  private readonly log: Log;
  private readonly stopping = new AbortController();
  private wanted: WantedAddresses = new Map();
  /** Found at the start and claimed by nobody yet; undefined: not looked for. */
  private found: Set<string> | undefined;
  private immediate: NodeJS.Immediate | undefined;
  private retry: NodeJS.Timeout | undefined;

  constructor(kernel: Kernel, log: Log) {
    this.kernel = kernel;
    this.log = log;
    kernel.subscribe((event) => this.heard(event), this.stopping.signal);
  }

  /** A link that is not there yet gets its addresses when it comes. */
  set(wanted: WantedAddresses): void {
    const words = (map: WantedAddresses) => JSON.stringify([...map]);
    if (this.found && words(wanted) === words(this.wanted)) return;
    this.wanted = wanted;
    this.apply();
  }

  /** What an earlier run left and nobody claims may go. */
  sweep(): void {
    if (!this.found?.size) return;
    this.found.clear();
    this.apply();
  }

  /** The addresses stay: sessions outlive this program's restart. */
  close(): void {
    this.stopping.abort();
    clearImmediate(this.immediate);
    clearTimeout(this.retry);
  }

  private heard(event: KernelEvent): void {
    if (this.wanted.size === 0 || event.kind === 'route') return;
    if (event.kind === 'link' && !this.wanted.has(event.link.name)) return;
    this.immediate ??= setImmediate(() => this.apply());
  }

  private apply(): void {
    this.immediate = undefined;
    clearTimeout(this.retry);
    try {
      const { kernel, wanted } = this;
      const [links, addresses] = [kernel.links(), kernel.addresses()];
      this.found ??= new Set(ourAddresses(links, addresses));
      for (const [link, goals] of wanted)
        for (const goal of goals) this.found.delete(`${link} ${goal}`);
      const kept = (link: string, ip: Ip) => this.found?.has(`${link} ${ip}`) ?? false;
      const plan = (routes: readonly Route[]) =>
        addressChanges({ links, addresses, routes }, wanted, kept);
      if (plan([]).length === 0) return;
      const routes = kernel.routes({ protocol: ROUTE_PROTOCOL.boot, family: 4 });
      const changes = plan(routes);
      this.log.info({ changes: changes.length }, 'peering addresses');
      kernel.apply(changes);
    } catch (cause) {
      this.log.warn({ cause: messageOf(cause) }, 'peering addresses cannot be set');
      this.retry = setTimeout(() => this.apply(), RETRY_MS);
    }
  }
}

const ourAddresses = (
  links: readonly Link[],
  addresses: readonly InterfaceAddressOfLink[],
): readonly string[] =>
  links
    .filter(({ name }) => name.startsWith(PREFIX))
    .flatMap(({ index, name }) =>
      addresses.filter((a) => a.linkIndex === index && isOurs(a)).map(({ ip }) => `${name} ${ip}`),
    );
