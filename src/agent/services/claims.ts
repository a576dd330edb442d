// Which addresses a service may be called by beside its own: anyone who may write a Service could else
// draw away the traffic of others (CVE-2020-8554).
import { type Cidr, cidrFamily, contains } from '../../net/cidr.ts';
import { familyOf, type Ip, parseIp } from '../../net/ip.ts';
import type { ServiceObject } from '../../services/render/objects.ts';

export const within = (range: Cidr, ip: Ip): boolean =>
  cidrFamily(range) === familyOf(ip) && contains(range, ip);

export interface ClaimRules {
  /** `externalIPs` must be in one of these. */
  readonly externalCidrs: readonly Cidr[];
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

const claimedOf = ({ spec, status }: ServiceObject): readonly Ip[] =>
  parsed([
    ...(spec?.externalIPs ?? []),
    ...(status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip),
  ]);

export class Claims {
  private readonly rules: ClaimRules;
  /** Services by their own addresses, and by those that they claim. */
  private readonly owners = new Map<Ip, Set<string>>();
  private readonly claimants = new Map<Ip, Set<string>>();

  constructor(rules: ClaimRules) {
    this.rules = rules;
  }

  /** Takes note of a service that was another or none; answers whose claims may be decided anew. */
  replace(
    key: string,
    former: ServiceObject | undefined,
    present: ServiceObject | undefined,
  ): readonly string[] {
    const [before, after] = [former, present].map((one) => (one ? ownOf(one) : []));
    for (const ip of before!) remove(this.owners, ip, key);
    for (const ip of after!) add(this.owners, ip, key);
    for (const ip of former ? claimedOf(former) : []) remove(this.claimants, ip, key);
    for (const ip of present ? claimedOf(present) : []) add(this.claimants, ip, key);
    return [...before!, ...after!].flatMap((ip) => [...(this.claimants.get(ip) ?? [])]);
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
    const { externalCidrs, clusterCidrs } = this.rules;
    if (clusterCidrs.some((range) => within(range, ip))) return 'is of the pods’ range';
    const owner = [...(this.owners.get(ip) ?? [])].find((one) => one !== key);
    if (owner) return `is the cluster IP of ${owner}`;
    if (isExternal && !externalCidrs.some((range) => within(range, ip)))
      return 'is in no range of serviceProxy.externalCIDRs';
    return undefined;
  }
}

function add(index: Map<Ip, Set<string>>, ip: Ip, key: string): void {
  const keys = index.get(ip);
  if (keys) keys.add(key);
  else index.set(ip, new Set([key]));
}

function remove(index: Map<Ip, Set<string>>, ip: Ip, key: string): void {
  const keys = index.get(ip);
  keys?.delete(key);
  if (keys?.size === 0) index.delete(ip);
}
