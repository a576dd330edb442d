// Addresses of Kubernetes' services as BIRD hears of them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS] = ['10.79.1.1', '10.79.1.2'];

class ServiceHost extends TwoHosts {
  private readonly control = `${this.directory}/bird.ctl`;

  startBird(): void {
    const config = this.file(
      'bird.conf',
      `router id ${THEIRS};
protocol device { scan time 1; }
protocol bgp ours {
  local ${THEIRS} as 64512;
  neighbor ${OURS} as 64512;
  graceful restart aware;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export none; };
}
`,
    );
    this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdRoutes(): readonly string[] {
    const text = run(['birdc', '-s', this.control, 'show', 'route']);
    return [...text.matchAll(/^(\d\S*\/\d+)/gm)].map(([, prefix]) => prefix!).toSorted();
  }

  async birdHas(...prefixes: readonly string[]): Promise<void> {
    const wanted = [OUR_BLOCK, ...prefixes].toSorted().join();
    let found = '';
    await eventually(
      `BIRD has ${wanted}`,
      () => {
        found = this.birdRoutes().join();
        return found === wanted;
      },
      10_000,
    ).catch((cause: unknown) => {
      throw new Error(`${String(cause)}; it has ${found}`);
    });
  }

  putService(spec: object): void {
    const metadata = { name: 's', namespace: 'default' };
    const ingress = [{ ip: '192.0.2.5' }];
    const object = {
      metadata,
      spec: { clusterIP: '10.96.0.7', ...spec },
      status: { loadBalancer: { ingress } },
    };
    this.putKubernetes('services', object);
  }

  putSlice(nodeName: string, ready: boolean): void {
    const labels = { 'kubernetes.io/service-name': 's' };
    const metadata = { name: 's-1', namespace: 'default', labels };
    const endpoints = [{ nodeName, conditions: { ready } }];
    this.putKubernetes('endpointslices', { metadata, addressType: 'IPv4', endpoints } as never);
  }

  putOwnNode(labels: Readonly<Record<string, string>>): void {
    this.putKubernetes('nodes', { metadata: { name: 'ours', labels } } as never);
  }

  announce(spec: object): void {
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
  }
}

const RANGES = {
  serviceClusterIPs: [{ cidr: '10.96.0.0/12' }],
  serviceLoadBalancerIPs: [{ cidr: '192.0.2.0/24' }],
};

describe('addresses of services, with BIRD', () => {
  let hosts: ServiceHost;
  before(async () => {
    hosts = new ServiceHost({ ours: OURS, theirs: THEIRS });
    hosts.startBird();
    hosts.putOwnNode({});
    hosts.startSpeaker();
    await hosts.established(30_000);
  });
  after(() => hosts?.close());

  test('none without configured ranges; then the ranges', async () => {
    hosts.putService({});
    await hosts.birdHas();
    hosts.announce(RANGES);
    await hosts.birdHas('10.96.0.0/12', '192.0.2.0/24');
  });

  test('externalTrafficPolicy Local: single addresses while a ready endpoint is here', async () => {
    hosts.putService({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    hosts.putSlice('ours', false);
    await hosts.birdHas('10.96.0.0/12', '192.0.2.0/24');
    hosts.putSlice('ours', true);
    await hosts.birdHas('10.96.0.0/12', '10.96.0.7/32', '192.0.2.0/24', '192.0.2.5/32');
    hosts.putSlice('theirs', true);
    await hosts.birdHas('10.96.0.0/12', '192.0.2.0/24');
    hosts.putSlice('ours', true);
    await hosts.birdHas('10.96.0.0/12', '10.96.0.7/32', '192.0.2.0/24', '192.0.2.5/32');
  });

  test('after a restart of the speaker none of them is ever gone', async () => {
    await hosts.killSpeaker();
    hosts.startSpeaker();
    const all = [OUR_BLOCK, '10.96.0.0/12', '10.96.0.7/32', '192.0.2.0/24', '192.0.2.5/32'];
    const wanted = all.toSorted().join();
    const others = new Set<string>();
    await eventually('the session is back', async () => {
      const found = hosts.birdRoutes().join();
      if (found !== wanted) others.add(found);
      return (await hosts.state()).peers[0]?.state === 'established';
    });
    assert.deepEqual([...others], [], 'a route was lost');
    await hosts.birdHas(...all.slice(1));
  });

  test('a node that is excluded announces none', async () => {
    hosts.putOwnNode({ 'node.kubernetes.io/exclude-from-external-load-balancers': '' });
    await hosts.birdHas();
    hosts.putOwnNode({});
    await hosts.birdHas('10.96.0.0/12', '10.96.0.7/32', '192.0.2.0/24', '192.0.2.5/32');
  });

  test('the ranges go, and all with them', async () => {
    hosts.announce({});
    await hosts.birdHas();
  });
});
