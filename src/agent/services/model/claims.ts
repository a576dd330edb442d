// Which addresses a service may be called by beside its own: anyone who may write a Service could else
// draw away the traffic of others (CVE-2020-8554).
import { type Cidr, cidrFamily, contains } from '../../../net/cidr.ts';
import { familyOf, type Ip, parseIp } from '../../../net/ip.ts';
import type { ServiceObject } from '../../../services/render/objects.ts';
import { Grouped } from './grouped.ts';

export const within = (range: Cidr, ip: Ip): boolean =>
  cidrFamily(range) === familyOf(ip) && contains(range, ip);

export interface ClaimRules {
  /** `externalIPs` must be in one of these. */
  readonly externalCidrs: readonly Cidr[];
  /** Addresses of load balancers must be in one of these; none: they may be anywhere. */
  readonly loadBalancerCidrs: readonly Cidr[];
  /** Where pods are. */
  readonly clusterCidrs: readonly Cidr[];
}

export interface Granted {
  readonly service: ServiceObject;
  readonly refused: readonly string[];
}

const parsed = (texts: readonly (string | undefined)[]): readonly Ip[] =>
  texts.flatMap((text) => parseIp(text ?? '') ?? []);

const ownOf = ({ spec }: ServiceObject): readonly Ip[] =>
  parsed(spec?.clusterIPs ?? [spec?.clusterIP]);

const balancedOf = ({ status }: ServiceObject): readonly Ip[] =>
  parsed((status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip));

const claimedOf = (service: ServiceObject): readonly Ip[] => [
  ...parsed(service.spec?.externalIPs ?? []),
  ...balancedOf(service),
];

export class Claims {
  private readonly rules: ClaimRules;
  /** Services by their own addresses, by their load balancers', and by all that they claim. */
  private readonly owners = new Grouped<Ip, string>();
  private readonly balanced = new Grouped<Ip, string>();
  private readonly claimants = new Grouped<Ip, string>();
  private readonly nodes = new Grouped<Ip, string>();
  private readonly addressesOf = new Map<string, readonly Ip[]>();

  constructor(rules: ClaimRules) {
    this.rules = rules;
  }

  /** Takes note of a service that was another or none; answers whose claims may be decided anew. */
  replace(
    key: string,
    former: ServiceObject | undefined,
    present: ServiceObject | undefined,
  ): readonly string[] {
    const concerned = new Set<Ip>();
    for (const [index, of] of [
      [this.owners, ownOf],
      [this.balanced, balancedOf],
      [this.claimants, claimedOf],
    ] as const) {
      const [before, after] = [former, present].map((one) => (one ? of(one) : []));
      for (const ip of before!) index.remove(ip, key);
      for (const ip of after!) index.add(ip, key);
      if (index !== this.claimants) for (const ip of [...before!, ...after!]) concerned.add(ip);
    }
    return this.claimantsOf(concerned);
  }

  /** A node has these addresses now; answers whose claims may be decided anew. */
  replaceNode(node: string, addresses: readonly Ip[]): readonly string[] {
    const before = this.addressesOf.get(node) ?? [];
    if (before.join() === addresses.join()) return [];
    for (const ip of before) this.nodes.remove(ip, node);
    for (const ip of addresses) this.nodes.add(ip, node);
    if (addresses.length > 0) this.addressesOf.set(node, addresses);
    else this.addressesOf.delete(node);
    return this.claimantsOf([...before, ...addresses]);
  }

  private claimantsOf(addresses: Iterable<Ip>): readonly string[] {
    return [...addresses].flatMap((ip) => this.claimants.of(ip));
  }

  /** The service with the addresses that it may be called by, and why not the others. */
  granted(key: string, service: ServiceObject): Granted {
    const { externalIPs = [] } = service.spec ?? {};
    const { ingress = [] } = service.status?.loadBalancer ?? {};
    if (externalIPs.length + ingress.length === 0) return { service, refused: [] };
    const refused: string[] = [];
    const isGranted = (what: string, text: string | undefined, isExternal: boolean): boolean => {
      const ip = parseIp(text ?? '');
      const why = ip && this.whyNot(key, ip, isExternal);
      if (why) refused.push(`${what} ${ip} ${why}`);
      return !why;
    };
    const spec = {
      ...service.spec,
      externalIPs: externalIPs.filter((text) => isGranted('external address', text, true)),
    };
    const loadBalancer = {
      ...service.status?.loadBalancer,
      ingress: ingress.filter(({ ip }) => isGranted('load balancer’s address', ip, false)),
    };
    const status = { ...service.status, loadBalancer };
    return { service: { ...service, spec, status }, refused };
  }

  private whyNot(key: string, ip: Ip, isExternal: boolean): string | undefined {
    const { externalCidrs, loadBalancerCidrs, clusterCidrs } = this.rules;
    const isIn = (ranges: readonly Cidr[]) => ranges.some((range) => within(range, ip));
    const another = (index: Grouped<Ip, string>): string | undefined =>
      index.of(ip).find((one) => one !== key);
    if (isIn(clusterCidrs)) return 'is of the pods’ range';
    const [node] = this.nodes.of(ip);
    if (node) return `is an address of node ${node}`;
    const owner = another(this.owners);
    if (owner) return `is the cluster IP of ${owner}`;
    if (!isExternal)
      return loadBalancerCidrs.length === 0 || isIn(loadBalancerCidrs)
        ? undefined
        : 'is in no range of serviceProxy.loadBalancerCIDRs';
    const balanced = another(this.balanced);
    if (balanced) return `is the load balancer’s address of ${balanced}`;
    return isIn(externalCidrs) ? undefined : 'is in no range of serviceProxy.externalCIDRs';
  }
}
