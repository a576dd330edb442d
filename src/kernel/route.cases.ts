// Routes of several ways and whole tables of routes: cases for every kernel.
import assert from 'node:assert/strict';
import { type Cidr, cidr } from '../net/cidr.ts';
import { type Ip, ip } from '../net/ip.ts';
import type { KernelFixture } from './kernel.cases.ts';
import { type Kernel, ROUTE_PROTOCOL, type Route, type RouteHop } from './kernel.ts';

type Scenario = (what: string, work: (fixture: KernelFixture) => void | Promise<void>) => void;

const base = {
  kind: 'unicast',
  scope: 'global',
  onlink: false,
  protocol: ROUTE_PROTOCOL.bird,
} as const;
const blackhole = (destination: Cidr): Route => ({
  ...base,
  destination,
  kind: 'blackhole',
  metric: 0,
});
const NETS = { 4: ['10.71.0', '10.72.0'], 6: ['fd00:71:', 'fd00:72:'] } as const;

/** Two links that are up, with an IPv4 and an IPv6 network each; answers their indexes. */
async function twoLinks({ kernel, podNetns }: KernelFixture): Promise<readonly number[]> {
  const indexes: number[] = [];
  for (const [i, name] of ['ckt0', 'ckt1'].entries()) {
    const pair = { name, peer: `peer${i}`, peerNetns: podNetns, mtu: 1500 };
    const { index: linkIndex } = await kernel.addVeth(pair);
    kernel.apply([
      { kind: 'setLink', index: linkIndex, up: true },
      { kind: 'addAddress', linkIndex, ip: ip(`${NETS[4][i]}.1`), prefixLength: 24 },
      { kind: 'addAddress', linkIndex, ip: ip(`${NETS[6][i]}:1`), prefixLength: 64 },
    ]);
    const inside = kernel.enter(podNetns);
    inside.apply([{ kind: 'setLink', index: inside.link(`peer${i}`)!.index, up: true }]);
    inside.close();
    indexes.push(linkIndex);
  }
  return indexes;
}

const inOrder = (hops: readonly RouteHop[] = []): readonly string[] =>
  hops.map((hop) => JSON.stringify(hop)).toSorted();
const at = (kernel: Kernel, destination: Cidr): readonly Route[] =>
  kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).filter((r) => r.destination === destination);

/** One prefix: several ways, one way, several again, none. */
async function severalWays(fixture: KernelFixture, destination: Cidr, gateways: readonly Ip[]) {
  const { kernel } = fixture;
  const links = await twoLinks(fixture);
  const metric = destination.includes(':') ? 1024 : 0;
  const hops = gateways.map((gateway, i) => ({ gateway, linkIndex: links[i]!, onlink: false }));
  const many: Route = { ...base, destination, metric, hops };
  const one: Route = { ...base, destination, metric, gateway: gateways[1], linkIndex: links[1] };
  const seesMany = (): void => {
    const [seen, ...more] = at(kernel, destination);
    const { hops: ways, ...rest } = seen!;
    assert.deepEqual([rest, more], [{ ...base, destination, metric }, []]);
    assert.deepEqual(inOrder(ways), inOrder(hops));
  };
  kernel.apply([{ kind: 'addRoute', route: many }]);
  seesMany();
  assert.throws(() => kernel.apply([{ kind: 'addRoute', route: one }]), { errno: 17 });
  kernel.apply([{ kind: 'replaceRoute', route: one }]);
  assert.deepEqual(at(kernel, destination), [one]);
  kernel.apply([{ kind: 'replaceRoute', route: many }]);
  seesMany();
  kernel.apply([{ kind: 'deleteRoute', route: { ...many, hops: hops.toReversed() } }]);
  assert.deepEqual(at(kernel, destination), []);
}

export function routeCases(scenario: Scenario): void {
  scenario(
    'a link that goes down takes its routes along, and up again is without',
    async (fixture) => {
      const { kernel } = fixture;
      const [first, second] = await twoLinks(fixture);
      const metric = 0;
      const [gone, kept] = [cidr('192.168.5.0/26'), cidr('192.168.6.0/26')];
      const via = (destination: Cidr, net: string, linkIndex: number): Route => ({
        ...base,
        ...{ destination, metric, gateway: ip(`${net}.2`), linkIndex },
      });
      kernel.apply([
        { kind: 'addRoute', route: via(gone, NETS[4][0], first!) },
        { kind: 'addRoute', route: via(kept, NETS[4][1], second!) },
      ]);
      for (const up of [false, true]) {
        kernel.apply([{ kind: 'setLink', index: first!, up }]);
        assert.deepEqual(at(kernel, gone), []);
        assert.deepEqual(at(kernel, kept).length, 1);
      }
    },
  );

  scenario('the last IPv4 address of a link takes its IPv4 routes along', async (fixture) => {
    const { kernel } = fixture;
    const [first] = await twoLinks(fixture);
    const [four, six] = [cidr('192.168.5.0/26'), cidr('fd00:5::/122')];
    const linkIndex = first!;
    const onlink = { ...base, onlink: true, linkIndex };
    const address = { linkIndex, ip: ip('10.73.0.1'), prefixLength: 32 };
    kernel.apply([
      { kind: 'addAddress', ...address },
      {
        kind: 'addRoute',
        route: { ...onlink, destination: four, metric: 0, gateway: ip('10.9.9.9') },
      },
      {
        kind: 'addRoute',
        route: {
          ...base,
          linkIndex,
          destination: six,
          metric: 1024,
          gateway: ip(`${NETS[6][0]}:2`),
        },
      },
      { kind: 'deleteAddress', linkIndex, ip: ip(`${NETS[4][0]}.1`), prefixLength: 24 },
    ]);
    assert.equal(at(kernel, four).length, 1, 'another address is left');
    kernel.apply([{ kind: 'deleteAddress', ...address }]);
    assert.deepEqual([at(kernel, four).length, at(kernel, six).length], [0, 1]);
  });

  scenario('IPv4 routes of several ways', (fixture) =>
    severalWays(fixture, cidr('192.168.7.0/26'), [ip('10.71.0.2'), ip('10.72.0.2')]),
  );

  scenario('IPv6 routes of several ways', (fixture) =>
    severalWays(fixture, cidr('fd00:7::/122'), [ip('fd00:71::2'), ip('fd00:72::2')]),
  );

  scenario('an IPv4 route by IPv6 gateways, several and one', (fixture) =>
    severalWays(fixture, cidr('192.168.8.0/26'), [ip('fd00:71::2'), ip('fd00:72::2')]),
  );

  scenario('several ways with weights, and over a gateway that is on the link', async (fixture) => {
    const links = await twoLinks(fixture);
    const destination = cidr('192.168.9.0/26');
    const hops = links.map((linkIndex, i) => ({
      gateway: ip(`172.31.0.${i + 1}`),
      linkIndex,
      onlink: true,
      ...(i === 1 ? { weight: 3 } : {}),
    }));
    const route: Route = { ...base, destination, metric: 0, hops };
    fixture.kernel.apply([{ kind: 'addRoute', route }]);
    assert.deepEqual(inOrder(at(fixture.kernel, destination)[0]?.hops), inOrder(hops));
  });

  scenario('a subscription tells of a route of several ways', async (fixture) => {
    const { kernel } = fixture;
    const links = await twoLinks(fixture);
    for (const [destination, net] of [
      [cidr('192.168.7.0/26'), ['10.71.0.2', '10.72.0.2']],
      [cidr('fd00:7::/122'), ['fd00:71::2', 'fd00:72::2']],
    ] as const) {
      const hops = net.map((text, i) => ({
        gateway: ip(text),
        linkIndex: links[i]!,
        onlink: false,
      }));
      const stop = new AbortController();
      const told = new Promise<Route>((resolve) => {
        kernel.subscribe((event) => {
          if (event.kind === 'route' && event.route.destination === destination)
            resolve(event.route);
        }, stop.signal);
      });
      kernel.apply([{ kind: 'addRoute', route: { ...base, destination, metric: 0, hops } }]);
      assert.deepEqual(inOrder((await told).hops), inOrder(hops));
      stop.abort();
    }
  });

  scenario('a batch answers every refusal by its place', ({ kernel }) => {
    const [a, b, c] = ['192.168.1.0/26', '192.168.2.0/26', '192.168.3.0/26'].map((prefix) =>
      blackhole(cidr(prefix)),
    );
    kernel.apply([{ kind: 'addRoute', route: b! }]);
    const refused = kernel.applyEach(
      [a!, b!, c!, a!].map((route) => ({ kind: 'addRoute', route })),
    );
    assert.deepEqual(
      refused.map(({ index, error }) => [index, error.errno]),
      [
        [1, 17],
        [3, 17],
      ],
    );
    assert.equal(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length, 3);
  });

  scenario('part by part, the routes are the same', ({ kernel }) => {
    const routes = Array.from({ length: 5 }, (_, i) => blackhole(cidr(`192.168.${i}.0/26`)));
    kernel.apply(routes.map((route) => ({ kind: 'addRoute', route })));
    const texts = (found: readonly Route[]) => found.map((r) => JSON.stringify(r)).toSorted();
    assert.deepEqual(texts([...kernel.routeParts()].flat()), texts(kernel.routes()));
    for (const part of kernel.routeParts()) {
      assert.ok(part.length > 0);
      break; // frees what it holds
    }
  });
}
