// Our speaker and, in the other namespace, FRR and GoBGP side by side on addresses of their own, all in
// one AS. Either of them may reflect what the other says.
import { run } from '../lab/command.ts';
import { TwoHosts } from './two-hosts.ts';

export const OURS = '10.77.6.1';
export const FRR = '10.77.6.2';
export const GOBGP = '10.77.6.3';
export const AS = 64512;

/** Their blocks, each with communities of its own. */
export const ROUTES = {
  frr: { prefix: '192.168.2.0/26', standard: '65001:200', large: '65001:2:3' },
  gobgp: { prefix: '192.168.3.0/26', standard: '65002:300', large: '4200000000:3:4' },
} as const;

/** What one of them knows of a route. */
export interface Seen {
  readonly nextHop: string;
  readonly originator: string | undefined;
  readonly clusters: readonly string[];
  readonly standard: readonly string[];
  readonly large: readonly string[];
}

export class ThreeHosts extends TwoHosts {
  constructor() {
    super({ ours: OURS, theirs: FRR, holdTimeSeconds: 9 });
    run(['ip', '-n', this.right, 'addr', 'add', `${GOBGP}/24`, 'dev', 'eth0']);
    this.removeResource('nodes', 'theirs');
    this.configure({});
  }

  configure(more: object): void {
    const spec = { nodeToNodeMeshEnabled: false, asNumber: AS, ...more };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
  }

  /** Our own node; with a cluster id we reflect. */
  ourNode(routeReflectorClusterID?: string): void {
    const bgp = { ipv4Address: `${OURS}/24`, routeReflectorClusterID };
    this.putResource('nodes', 'Node', 'ours', { bgp });
  }

  peerWith(name: string, peerIP: string, more: object = {}): void {
    this.putResource('bgppeers', 'BGPPeer', name, {
      node: 'ours',
      peerIP,
      asNumber: AS,
      ...more,
    });
  }

  /** `clients` are those to whom it reflects; they connect. */
  startFrr({ clusterId, clients = [] }: Reflecting = {}): void {
    const { prefix, standard, large } = ROUTES.frr;
    const neighbours = [OURS, ...clients].map(
      (address) => ` neighbor ${address} remote-as ${AS}\n neighbor ${address} timers connect 1`,
    );
    const reflecting = clients.length > 0 ? [OURS, ...clients] : [];
    const config = this.file(
      'bgpd.conf',
      `router bgp ${AS}
 bgp router-id ${FRR}
 ${clusterId ? `bgp cluster-id ${clusterId}` : ''}
 no bgp network import-check
 timers bgp 1 9
${neighbours.join('\n')}
 address-family ipv4 unicast
  network ${prefix} route-map marked
${reflecting.map((address) => `  neighbor ${address} route-reflector-client`).join('\n')}
 exit-address-family
!
route-map marked permit 10
 set community ${standard}
 set large-community ${large}
`,
    );
    const where = ['-f', config, '-i', `${this.directory}/bgpd.pid`, '-l', FRR];
    const sockets = ['--vty_socket', this.directory, '-A', '127.0.0.1'];
    this.startDaemon(['/usr/lib/frr/bgpd', '-n', '-Z', '-S', ...where, ...sockets]);
  }

  vtysh(command: string): string {
    return this.inRight(['vtysh', '--vty_socket', this.directory, '-d', 'bgpd', '-c', command]);
  }

  startGobgp({ clusterId, clients = [] }: Reflecting = {}): void {
    const reflecting = clients.length > 0 ? [OURS, ...clients] : [];
    const neighbours = [OURS, ...clients].map(
      (address) => `[[neighbors]]
[neighbors.config]
neighbor-address = "${address}"
peer-as = ${AS}
[neighbors.transport.config]
local-address = "${GOBGP}"
[neighbors.timers.config]
connect-retry = 1
hold-time = 9
${
  reflecting.includes(address)
    ? `[neighbors.route-reflector.config]
route-reflector-client = true
route-reflector-cluster-id = "${clusterId}"`
    : ''
}
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
`,
    );
    const config = this.file(
      'gobgpd.toml',
      `[global.config]
as = ${AS}
router-id = "${GOBGP}"
local-address-list = ["${GOBGP}"]
${neighbours.join('\n')}`,
    );
    this.startDaemon(['gobgpd', '-f', config, '--api-hosts', '127.0.0.1:50051']);
  }

  gobgp(command: string): string {
    return this.inRight(['gobgp', ...command.split(' ')]);
  }

  gobgpAnnounces(): void {
    const { prefix, standard, large } = ROUTES.gobgp;
    this.gobgp(`global rib add ${prefix} community ${standard} large-community ${large}`);
  }

  /** Undefined: FRR has no such route, or more than one. */
  seenByFrr(prefix: string): Seen | undefined {
    const { paths = [] } = JSON.parse(this.vtysh(`show bgp ipv4 unicast ${prefix} json`)) as {
      paths?: readonly FrrPath[];
    };
    const [path] = paths;
    if (!path || paths.length > 1) return undefined;
    return {
      nextHop: path.nexthops[0]!.ip,
      originator: path.originatorId,
      clusters: path.clusterList?.list ?? [],
      standard: path.community?.list ?? [],
      large: path.largeCommunity?.list ?? [],
    };
  }

  /** Undefined: GoBGP has no such route, or more than one. */
  seenByGobgp(prefix: string): Seen | undefined {
    const rib = JSON.parse(this.gobgp('global rib -j')) as Record<string, readonly GobgpPath[]>;
    const [path] = rib[prefix] ?? [];
    if (!path || rib[prefix]!.length > 1) return undefined;
    const of = (type: number) => path.attrs.find((attribute) => attribute.type === type);
    const values = of(32)?.value as readonly Record<string, number>[] | undefined;
    return {
      nextHop: String(of(3)?.nexthop),
      originator: of(9)?.value as string | undefined,
      clusters: (of(10)?.value as readonly string[] | undefined) ?? [],
      standard: (of(8)?.communities ?? []).map((c) => `${Math.floor(c / 65536)}:${c % 65536}`),
      large: (values ?? []).map((value) => Object.values(value).join(':')),
    };
  }
}

interface Reflecting {
  readonly clusterId?: string;
  readonly clients?: readonly string[];
}

interface FrrPath {
  readonly nexthops: readonly { readonly ip: string }[];
  readonly originatorId?: string;
  readonly clusterList?: { readonly list: readonly string[] };
  readonly community?: { readonly list: readonly string[] };
  readonly largeCommunity?: { readonly list: readonly string[] };
}

interface GobgpPath {
  readonly attrs: readonly {
    readonly type: number;
    readonly nexthop?: string;
    readonly value?: unknown;
    readonly communities?: readonly number[];
  }[];
}
