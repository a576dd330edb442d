// Random services with endpoints, as an API server would accept them: every world from its seed.
import type { WholeObject } from '../../src/kubernetes/api.ts';
import { Chance } from '../differential/chance.ts';

export interface World {
  readonly services: readonly WholeObject[];
  readonly slices: readonly WholeObject[];
  /** That the node has beside those it always has. */
  readonly addresses: readonly string[];
}

/** How a service proxy is told to work; it does not change while it runs. */
export interface ProxySettings {
  readonly name: string;
  readonly clusterCidr: string;
  readonly nodePortAddresses: readonly string[];
  readonly masqueradeAll: boolean;
  readonly masqueradeBit: number;
  readonly localhostNodePorts?: boolean;
  /** Endpoints of services that are there in every world. */
  readonly standing?: number;
}

const PODS = '10.0.0.0/8,fd00:10::/32';
export const SETTINGS: readonly ProxySettings[] = [
  {
    name: 'as usual',
    clusterCidr: PODS,
    nodePortAddresses: [],
    masqueradeAll: false,
    masqueradeBit: 14,
  },
  {
    name: 'all masqueraded, node ports on some addresses',
    clusterCidr: PODS,
    nodePortAddresses: ['10.201.0.0/24', 'fd00:201::/64'],
    masqueradeAll: true,
    masqueradeBit: 14,
  },
  {
    name: 'no pod range known, another bit',
    clusterCidr: '',
    nodePortAddresses: [],
    masqueradeAll: false,
    masqueradeBit: 7,
  },
  {
    name: 'node ports on loopback and some addresses of IPv4',
    clusterCidr: PODS,
    nodePortAddresses: ['10.201.0.0/24', '127.0.0.0/8'],
    masqueradeAll: false,
    masqueradeBit: 14,
    localhostNodePorts: true,
  },
  {
    name: 'more than a thousand endpoints, node ports on loopback too',
    clusterCidr: PODS,
    nodePortAddresses: [],
    masqueradeAll: false,
    masqueradeBit: 14,
    localhostNodePorts: true,
    standing: 1010,
  },
];

export const NODE = 'n1';
export const ZONE = 'east';
export const NODE_ADDRESSES = ['10.201.0.1', 'fd00:201::1'] as const;
const MORE_ADDRESSES = ['10.201.0.5', '10.202.0.6', 'fd00:201::5', 'fd00:202::6'] as const;

type Family = 'IPv4' | 'IPv6';
const ADDRESS: Readonly<Record<Family, (range: 'vip' | 'outside' | 'pod', n: number) => string>> = {
  IPv4: (range, n) => `${{ vip: '172.30.0', outside: '192.0.2', pod: '10.64.0' }[range]}.${n + 1}`,
  IPv6: (range, n) =>
    `${{ vip: 'fd00:30:', outside: '2001:db8:', pod: 'fd00:10:64:' }[range]}:${(n + 1).toString(16)}`,
};
const RANGES: Readonly<Record<Family, readonly string[]>> = {
  IPv4: ['198.51.100.0/24', '10.201.0.0/24', '203.0.113.7/32'],
  IPv6: ['2001:db8:5::/64', 'fd00:201::/64', '2001:db8:7::7/128'],
};
const PORT_NAMES = ['http', 'dns', 'metrics'] as const;
const PROTOCOLS = ['TCP', 'TCP', 'UDP', 'SCTP'] as const;
const SERVICES_MOST = 5;
const NODE_PORTS_FROM = 30_000;
const OUTSIDE_ADDRESSES = 40;

export function randomWorld(seed: number): World {
  const chance = new Chance(seed);
  const services: WholeObject[] = [];
  const slices: WholeObject[] = [];
  for (let i = 0; i <= chance.below(SERVICES_MOST); i++) {
    const made = new ServiceMaker(chance, i);
    services.push(made.service());
    slices.push(...made.slices());
  }
  return { services, slices, addresses: chance.some(MORE_ADDRESSES, 2) };
}

const STANDING_EACH = 101;
const AFFINITY = {
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
};
const TWICE: readonly Family[] = ['IPv4', 'IPv6'];

/** Services with so many endpoints in each family, the same in every world. */
export function standingServices(endpoints: number): Omit<World, 'addresses'> {
  const count = Math.ceil(endpoints / STANDING_EACH);
  const made = Array.from({ length: count }, (_, i) => {
    const metadata = { name: `standing${i}`, namespace: 'random', uid: `standing${i}` };
    const labels = { 'kubernetes.io/service-name': metadata.name };
    const spec = {
      type: 'ClusterIP',
      clusterIP: `172.29.0.${i + 1}`,
      clusterIPs: [`172.29.0.${i + 1}`, `fd00:29::${i + 1}`],
      ipFamilies: TWICE,
      internalTrafficPolicy: 'Cluster',
      ...(i === 0 ? AFFINITY : { sessionAffinity: 'None' }),
      ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 8080 }],
    };
    const slices = TWICE.map((addressType) => ({
      metadata: { ...metadata, labels, name: `standing${i}-${addressType.toLowerCase()}` },
      addressType,
      endpoints: Array.from({ length: STANDING_EACH }, (_, e) => ({
        addresses: [addressType === 'IPv4' ? `10.66.${i}.${e + 1}` : `fd00:10:66:${i}::${e + 1}`],
        nodeName: e % 2 === 0 ? NODE : 'n2',
        conditions: { ready: true, serving: true, terminating: false },
      })),
      ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    }));
    return { service: { metadata, spec, status: { loadBalancer: {} } }, slices };
  });
  return {
    services: made.map(({ service }) => service as unknown as WholeObject),
    slices: made.flatMap(({ slices }) => slices as unknown as readonly WholeObject[]),
  };
}

/** A service of this number, whose addresses and ports are no other's. */
class ServiceMaker {
  private readonly chance: Chance;
  private readonly i: number;
  private readonly name: string;
  private readonly families: readonly Family[];
  private readonly ports: readonly { readonly name: string; readonly protocol: string }[];

  constructor(chance: Chance, i: number) {
    this.chance = chance;
    this.i = i;
    this.name = `s${i}`;
    this.families = chance.pick([['IPv4'], ['IPv6'], ['IPv4', 'IPv6'], ['IPv6', 'IPv4']]);
    const named = chance.of(0.7);
    this.ports = named
      ? chance.some(PORT_NAMES, 3).map((name) => ({ name, protocol: chance.pick(PROTOCOLS) }))
      : [{ name: '', protocol: chance.pick(PROTOCOLS) }];
  }

  service(): WholeObject {
    const { chance, i } = this;
    const type = chance.pick(['ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer']);
    const isHeadless = type === 'ClusterIP' && chance.of(0.1);
    const ips = isHeadless ? ['None'] : this.families.map((family) => ADDRESS[family]('vip', i));
    const externalLocal = chance.of(0.4);
    const labels = chance.of(0.05) ? { 'service.kubernetes.io/service-proxy-name': 'other' } : {};
    return {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: this.name, namespace: 'random', uid: this.name, labels },
      spec: {
        type,
        clusterIP: ips[0],
        clusterIPs: ips,
        ipFamilies: this.families,
        internalTrafficPolicy: chance.of(0.3) ? 'Local' : 'Cluster',
        ...this.affinity(),
        ...(chance.of(0.3) ? { externalIPs: this.outside(2) } : {}),
        ...(type === 'ClusterIP'
          ? {}
          : { externalTrafficPolicy: externalLocal ? 'Local' : 'Cluster' }),
        ...(type === 'LoadBalancer' && externalLocal
          ? { healthCheckNodePort: NODE_PORTS_FROM + 10 * i }
          : {}),
        ...(type === 'LoadBalancer' && chance.of(0.5)
          ? { loadBalancerSourceRanges: this.ranges() }
          : {}),
        ports: this.ports.map((port, p) => ({
          ...port,
          port: 80 + p,
          targetPort: 8080,
          ...(type === 'ClusterIP' || (type === 'LoadBalancer' && i % 2 === 1)
            ? {}
            : { nodePort: NODE_PORTS_FROM + 10 * i + 1 + p }),
        })),
      },
      status: { loadBalancer: type === 'LoadBalancer' ? { ingress: this.ingress() } : {} },
    } as unknown as WholeObject;
  }

  private affinity(): object {
    const { chance } = this;
    if (!chance.of(0.3)) return { sessionAffinity: 'None' };
    const timeoutSeconds = chance.pick([1, 600, 10_800]);
    return { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
  }

  /** Addresses that no other service has. */
  private outside(most: number): readonly string[] {
    const { chance, i } = this;
    const at = (n: number): number => i * OUTSIDE_ADDRESSES + n;
    return chance
      .some([0, 1, 2, 3], most)
      .map((n) => ADDRESS[chance.pick(this.families)]('outside', at(n)));
  }

  private ranges(): readonly string[] {
    const { chance } = this;
    return this.families.flatMap((family) => chance.some(RANGES[family], 2));
  }

  private ingress(): readonly object[] {
    const { chance, i } = this;
    if (chance.of(0.2)) return [{ hostname: 'lb.example.org' }];
    return this.families.map((family) => ({
      ip: ADDRESS[family]('outside', i * OUTSIDE_ADDRESSES + 20),
      ...(chance.of(0.2) ? { ipMode: 'Proxy' } : chance.of(0.5) ? { ipMode: 'VIP' } : {}),
    }));
  }

  /** One or two for each family. */
  slices(): readonly WholeObject[] {
    const { chance } = this;
    const hinted = chance.of(0.3);
    return this.families.flatMap((family) =>
      Array.from({ length: chance.below(3) }, (_, n) => this.slice(family, n, hinted)),
    );
  }

  private slice(family: Family, n: number, hinted: boolean): WholeObject {
    const { chance, i, name } = this;
    const ports = chance.of(0.9) ? this.ports : this.ports.slice(1);
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${name}-${family.toLowerCase()}-${n}`,
        namespace: 'random',
        uid: `${name}-${family}-${n}`,
        labels: {
          'kubernetes.io/service-name': name,
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        },
      },
      addressType: family,
      endpoints: Array.from({ length: chance.below(4) }, (_, e) => ({
        addresses: [ADDRESS[family]('pod', i * 16 + n * 4 + e)],
        ...(chance.of(0.9) ? { nodeName: chance.pick([NODE, 'n2']) } : {}),
        conditions: this.conditions(),
        ...(hinted && chance.of(0.9) ? { hints: this.hints() } : {}),
      })),
      ports: ports.map((port) => ({ ...port, port: chance.pick([8080, 8080, 9090]) })),
    } as unknown as WholeObject;
  }

  private conditions(): object {
    return this.chance.pick([
      { ready: true, serving: true, terminating: false },
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: true, terminating: true },
      { ready: false, serving: false, terminating: true },
      { ready: false, serving: false, terminating: false },
      {},
    ]);
  }

  private hints(): object {
    const { chance } = this;
    const forZones = [{ name: chance.pick([ZONE, ZONE, 'west']) }];
    return chance.of(0.5)
      ? { forZones }
      : { forZones, forNodes: [{ name: chance.pick([NODE, 'n2']) }] };
  }
}
