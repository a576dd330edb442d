// A router of another AS opposite to our speaker: FRR, GoBGP or BIRD behind the same words, so that
// one scenario runs with each of them.
import type { ChildProcess } from 'node:child_process';
import type { PathReport } from '../../src/bgp/status.ts';
import { attempt, eventually, run } from '../lab/command.ts';
import { TwoHosts } from './two-hosts.ts';

export const OURS = '10.77.8.2';
export const THEIRS = '10.77.8.1';
export const OUR_ASN = 64512;
export const THEIR_ASN = 65001;

export interface RouterOptions {
  /** Our AS as the router knows it. */
  readonly peerAsn?: number;
  /** More prefixes of ours end the session. */
  readonly maxPrefixes?: number;
  /** Graceful restart, and how long routes live beyond it (RFC 9494). */
  readonly restart?: { readonly restartSeconds: number; readonly staleSeconds: number };
}

export interface Announcement {
  readonly prefix: string;
  /** AS numbers behind the router's own. */
  readonly asPath?: readonly number[];
  readonly community?: string;
}

export abstract class Router extends TwoHosts {
  protected daemon: ChildProcess | undefined;
  protected readonly announced = new Map<string, Announcement>();

  constructor() {
    super({ ours: OURS, theirs: THEIRS, holdTimeSeconds: 9 });
    this.removeResource('nodes', 'theirs');
    const spec = { nodeToNodeMeshEnabled: false, asNumber: OUR_ASN };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
    this.peer();
  }

  /** Our BGPPeer, with these fields and annotations (without their prefix). */
  peer(more: object = {}, wishes: Readonly<Record<string, string>> = {}): void {
    const spec = { node: 'ours', peerIP: THEIRS, asNumber: THEIR_ASN, ...more };
    const annotations = Object.entries(wishes).map(([k, v]) => [`calico-kit.io/${k}`, v] as const);
    this.putResource('bgppeers', 'BGPPeer', 'router', spec, Object.fromEntries(annotations));
  }

  abstract start(options: RouterOptions): void;
  /** After `stop`: as one who was restarted and announces what it announced before (RFC 4724). */
  async restart(options: RouterOptions): Promise<void> {
    this.start(options);
  }
  /** Announces from now on, or otherwise than before. */
  abstract announce(announcement: Announcement): void;
  /** Whether its soft reset asks us to tell all again (RFC 2918). */
  readonly asks: boolean = true;
  /** A soft reset of what it has heard. */
  abstract refresh(): void;
  /** What it shows of its paths to a prefix; empty: none. */
  abstract shown(prefix: string): string;
  /** AS_PATHs of its paths to a prefix, in its own writing. */
  abstract asPath(prefix: string): string;

  async stop(): Promise<void> {
    await this.end(this.daemon);
  }

  /** The router's path to a prefix as our table has it. */
  async heard(prefix: string): Promise<PathReport | undefined> {
    return (await this.table()).find((route) => route.prefix === prefix)?.paths[0];
  }

  /** Waits until the session is not up, and answers why. */
  async ended(): Promise<string> {
    const { lastError } = await eventually('the session ends', async () => {
      const [peer] = (await this.state()).peers;
      return peer && peer.state !== 'established' && peer.lastError ? peer : undefined;
    });
    return lastError;
  }
}

export class FrrRouter extends Router {
  private maps = 0;

  start({ peerAsn = OUR_ASN, maxPrefixes, restart }: RouterOptions): void {
    const config = this.file(
      'bgpd.conf',
      `router bgp ${THEIR_ASN}
 bgp router-id ${THEIRS}
 no bgp network import-check
 no bgp ebgp-requires-policy
 ${restart ? `bgp graceful-restart\n bgp graceful-restart restart-time ${restart.restartSeconds}` : ''}
 ${restart ? 'bgp graceful-restart preserve-fw-state' : ''}
 ${restart ? `bgp long-lived-graceful-restart stale-time ${restart.staleSeconds}` : ''}
 neighbor ${OURS} remote-as ${peerAsn}
 neighbor ${OURS} timers 3 9
 neighbor ${OURS} timers connect 1
 address-family ipv4 unicast
${[...this.announced.keys()].map((prefix) => `  network ${prefix}`).join('\n')}
${maxPrefixes ? `  neighbor ${OURS} maximum-prefix ${maxPrefixes}` : ''}
 exit-address-family
`,
    );
    const where = ['-f', config, '-i', `${this.directory}/bgpd.pid`];
    const sockets = ['--vty_socket', this.directory, '-A', '127.0.0.1'];
    this.daemon = this.startDaemon(['/usr/lib/frr/bgpd', '-n', '-Z', '-S', ...where, ...sockets]);
  }

  vtysh(command: string): string {
    return this.inRight(['vtysh', '--vty_socket', this.directory, '-d', 'bgpd', '-c', command]);
  }

  announce({ prefix, asPath = [], community }: Announcement): void {
    // Each time another: bgpd 8.4 dies of a route map that goes while it is in use.
    this.announced.set(prefix, { prefix });
    this.maps += 1;
    const map = `map${this.maps}`;
    const lines = [
      'configure terminal',
      `route-map ${map} permit 10`,
      ...(asPath.length > 0 ? [`set as-path prepend ${asPath.join(' ')}`] : []),
      ...(community ? [`set community ${community}`] : []),
      'exit',
      `router bgp ${THEIR_ASN}`,
      'address-family ipv4 unicast',
      `network ${prefix} route-map ${map}`,
    ];
    this.vtysh(lines.join('\n'));
  }

  refresh(): void {
    this.vtysh(`clear bgp ${OURS} soft in`);
  }

  shown(prefix: string): string {
    const text = this.vtysh(`show bgp ipv4 unicast ${prefix}`);
    return /not in table/.test(text) ? '' : text;
  }

  asPath(prefix: string): string {
    const { paths = [] } = JSON.parse(this.vtysh(`show bgp ipv4 unicast ${prefix} json`)) as {
      paths?: readonly { readonly aspath: { readonly string: string } }[];
    };
    return paths.map(({ aspath }) => aspath.string).join();
  }
}

export class GobgpRouter extends Router {
  // What it announces is lost with it, and is told it before anybody can speak to it.
  override async restart(options: RouterOptions): Promise<void> {
    this.hearsBgp(false);
    this.start(options, ['--graceful-restart']);
    const ready = () => attempt(['ip', 'netns', 'exec', this.right, 'gobgp', 'global', 'rib']).ok;
    await eventually('gobgpd answers', ready);
    for (const announcement of this.announced.values()) this.announce(announcement);
    this.hearsBgp(true);
  }

  private hearsBgp(hears: boolean): void {
    for (const port of ['--dport', '--sport']) {
      const rule = ['INPUT', '-p', 'tcp', port, '179', '-j', 'DROP'];
      this.inRight(['iptables', '-w', hears ? '-D' : '-A', ...rule]);
    }
  }

  start({ peerAsn = OUR_ASN, maxPrefixes, restart }: RouterOptions, how: string[] = []): void {
    const config = this.file(
      'gobgpd.toml',
      `[global.config]
as = ${THEIR_ASN}
router-id = "${THEIRS}"
[[neighbors]]
[neighbors.config]
neighbor-address = "${OURS}"
peer-as = ${peerAsn}
[neighbors.timers.config]
connect-retry = 1
hold-time = 9
${restart ? restartOfGobgp(restart.restartSeconds) : ''}
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
${maxPrefixes ? `[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = ${maxPrefixes}` : ''}
${restart ? longLivedOfGobgp(restart.staleSeconds) : ''}
`,
    );
    const argv = ['gobgpd', '-f', config, '--api-hosts', '127.0.0.1:50051', ...how];
    this.daemon = this.startDaemon(argv);
  }

  gobgp(...command: readonly string[]): string {
    return this.inRight(['gobgp', ...command]);
  }

  announce({ prefix, asPath = [], community }: Announcement): void {
    this.announced.set(prefix, { prefix, asPath, ...(community ? { community } : {}) });
    const path = asPath.length > 0 ? ['aspath', asPath.join(',')] : [];
    const marks = community ? ['community', community] : [];
    this.gobgp('global', 'rib', 'add', prefix, ...path, ...marks);
  }

  // It looks anew at what it has heard already.
  override readonly asks = false;

  refresh(): void {
    this.gobgp('neighbor', OURS, 'softresetin');
  }

  shown(prefix: string): string {
    const lines = this.gobgp('global', 'rib').split('\n');
    return lines.filter((line) => line.includes(`${prefix} `)).join('\n');
  }

  asPath(prefix: string): string {
    const [, , path = ''] = this.shown(prefix).trim().split(/ {2,}/);
    return path;
  }
}

const restartOfGobgp = (seconds: number): string => `[neighbors.graceful-restart.config]
enabled = true
restart-time = ${seconds}
long-lived-enabled = true`;
const longLivedOfGobgp = (
  seconds: number,
): string => `[neighbors.afi-safis.mp-graceful-restart.config]
enabled = true
[neighbors.afi-safis.long-lived-graceful-restart.config]
enabled = true
restart-time = ${seconds}`;

export class BirdRouter extends Router {
  private readonly control = `${this.directory}/bird.ctl`;
  private wanted: RouterOptions = {};

  start(options: RouterOptions): void {
    this.wanted = options;
    this.daemon = this.startDaemon(['bird', '-f', '-c', this.configured(), '-s', this.control]);
  }

  birdc(...command: readonly string[]): string {
    return run(['birdc', '-s', this.control, ...command]);
  }

  announce(announcement: Announcement): void {
    this.announced.set(announcement.prefix, announcement);
    this.configured();
    this.birdc('configure');
  }

  refresh(): void {
    this.birdc('reload', 'in', 'ours');
  }

  shown(prefix: string): string {
    const text = this.birdc('show', 'route', 'all', 'where', `net = ${prefix}`);
    return text.includes(prefix) ? text : '';
  }

  asPath(prefix: string): string {
    return /BGP\.as_path: (.*)/.exec(this.shown(prefix))?.[1]?.trim() ?? '';
  }

  private configured(): string {
    const { peerAsn = OUR_ASN, maxPrefixes, restart } = this.wanted;
    const routes = [...this.announced.values()].map(({ prefix, asPath = [], community }) => {
      const path = asPath.toReversed().map((asn) => `bgp_path.prepend(${asn});`);
      const mark = community ? `bgp_community.add((${community.replace(':', ',')}));` : '';
      return `route ${prefix} blackhole { ${path.join(' ')} ${mark} };`;
    });
    return this.file(
      'bird.conf',
      `router id ${THEIRS};
protocol device { scan time 1; }
protocol static { ipv4; ${routes.join('\n')} }
protocol bgp ours {
  local ${THEIRS} as ${THEIR_ASN}; neighbor ${OURS} as ${peerAsn};
  hold time 9; connect delay time 1; connect retry time 1; error wait time 1, 2;
  ${restart ? restartOfBird(restart.restartSeconds, restart.staleSeconds) : ''}
  ipv4 {
    import all; export where source = RTS_STATIC;
    ${maxPrefixes ? `import limit ${maxPrefixes} action restart;` : ''}
  };
}
`,
    );
  }
}

const restartOfBird = (restartSeconds: number, staleSeconds: number): string =>
  `graceful restart on; graceful restart time ${restartSeconds};
  long lived graceful restart on; long lived stale time ${staleSeconds};`;

export const ROUTERS: Readonly<Record<'FRR' | 'GoBGP' | 'BIRD', new () => Router>> = {
  FRR: FrrRouter,
  GoBGP: GobgpRouter,
  BIRD: BirdRouter,
};
