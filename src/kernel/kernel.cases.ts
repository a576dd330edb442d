// One suite for every kernel: the memory twin and Linux must agree in each case.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpError } from '../base/op-error.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import { type Kernel, type KernelEvent, ROUTE_PROTOCOL, type Route } from './kernel.ts';
import { routeCases } from './route.cases.ts';
import { vxlanCases } from './vxlan.cases.ts';

/** A kernel in a fresh namespace, and the path of another one for pods. */
export interface KernelFixture {
  readonly kernel: Kernel;
  readonly podNetns: string;
  done(): void;
}

const blackhole: Route = {
  destination: cidr('192.168.7.0/26'),
  kind: 'blackhole',
  scope: 'global',
  onlink: false,
  protocol: ROUTE_PROTOCOL.bird,
  metric: 0,
};
const hasErrno =
  (errno: number) =>
  (cause: unknown): boolean =>
    (cause as OpError).errno === errno;

export function kernelCases(name: string, open: () => KernelFixture): void {
  const scenario = (what: string, work: (fixture: KernelFixture) => void | Promise<void>): void => {
    test(`${name}: ${what}`, { timeout: 30_000 }, async () => {
      const fixture = open();
      try {
        await work(fixture);
      } finally {
        fixture.kernel.close();
        fixture.done();
      }
    });
  };
  const pair = (podNetns: string) => ({
    name: 'calitest',
    peer: 'eth0',
    peerNetns: podNetns,
    mtu: 1440,
    peerMac: mac('02:11:22:33:44:55'),
  });

  scenario('a veth pair: both ends, MTU, MAC, up', async ({ kernel, podNetns }) => {
    const host = await kernel.addVeth(pair(podNetns));
    kernel.apply([{ kind: 'setLink', index: host.index, up: true, mac: mac('ee:ee:ee:ee:ee:ee') }]);
    const seen = kernel.link('calitest');
    assert.deepEqual(
      [seen?.kind, seen?.mtu, seen?.mac, seen?.up],
      ['veth', 1440, 'ee:ee:ee:ee:ee:ee', true],
    );
    const inside = kernel.enter(podNetns);
    assert.equal(inside.link('eth0')?.mac, '02:11:22:33:44:55');
    assert.equal(kernel.link('eth0'), undefined);
    assert.equal(seen?.peerIndex, inside.link('eth0')?.index);
    assert.equal(seen?.index, inside.link('eth0')?.peerIndex);
    inside.close();
  });

  scenario('the delay of a proxy as its sysctl, in hundredths of a second', async (fixture) => {
    const { kernel } = fixture;
    const { index } = await kernel.addVeth(pair(fixture.podNetns));
    for (const [milliseconds, text] of [
      [500, '50'],
      [0, '0'],
    ] as const) {
      kernel.apply([{ kind: 'setProxyDelay', linkIndex: index, milliseconds }]);
      assert.equal(kernel.getSysctl('ipv4/neigh/calitest/proxy_delay'), text);
    }
  });

  scenario('off the main thread: to each its own refusals', async (fixture) => {
    const { kernel } = fixture;
    const { index } = await kernel.addVeth(pair(fixture.podNetns));
    const up = { kind: 'setLink', index, up: true } as const;
    const add = (route: Route) => ({ kind: 'addRoute', route }) as const;
    const other = { ...blackhole, destination: cidr('192.168.9.0/26') };
    const outcomes = await Promise.all([
      kernel.applyAside([up, add(blackhole), add(blackhole)]),
      kernel.applyAside([]),
      kernel.addVeth(pair(fixture.podNetns)).catch((cause: OpError) => cause.errno),
      kernel.applyAside([add(other), up, add(other), add(other)]),
    ]);
    const told = outcomes.map((refused) =>
      Array.isArray(refused) ? refused.map(({ index: at, error }) => [at, error.errno]) : refused,
    );
    const [twice, another] = [[[2, 17]], [...[2, 3].map((at) => [at, 17])]];
    assert.deepEqual(told, [twice, [], 17, another]);
    assert.equal(kernel.link('calitest')?.up, true);
    assert.equal(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length, 2);
  });

  scenario('of a batch only what is refused is told', async ({ kernel, podNetns }) => {
    const { index } = await kernel.addVeth(pair(podNetns));
    const up = { kind: 'setLink', index, up: true } as const;
    const add = (route: Route) => ({ kind: 'addRoute', route }) as const;
    const other = { ...blackhole, destination: cidr('192.168.9.0/26') };
    const refused = kernel.applyEach([up, add(blackhole), add(blackhole), add(other), add(other)]);
    assert.deepEqual(
      refused.map(({ index: at, error }) => [at, error.errno]),
      [
        [2, 17],
        [4, 17],
      ],
    );
    assert.equal(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length, 2);
  });

  scenario(
    'a name that is taken is EEXIST; an absent namespace ENOENT',
    async ({ kernel, podNetns }) => {
      await kernel.addVeth(pair(podNetns));
      await assert.rejects(kernel.addVeth(pair(podNetns)), hasErrno(17));
      assert.throws(() => kernel.enter('/run/netns/ckt-nowhere'), hasErrno(2));
      await assert.rejects(
        kernel.addVeth({ ...pair('/run/netns/ckt-nowhere'), name: 'calix' }),
        hasErrno(2),
      );
    },
  );

  scenario('routes: add, read by protocol, EEXIST, replace, delete twice', ({ kernel }) => {
    kernel.apply([{ kind: 'addRoute', route: blackhole }]);
    assert.deepEqual(kernel.routes({ protocol: ROUTE_PROTOCOL.bird, family: 4 }), [blackhole]);
    assert.throws(() => kernel.apply([{ kind: 'addRoute', route: blackhole }]), hasErrno(17));
    kernel.apply([{ kind: 'replaceRoute', route: blackhole }]);
    assert.equal(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length, 1);
    kernel.apply([{ kind: 'deleteRoute', route: blackhole }]);
    kernel.apply([{ kind: 'deleteRoute', route: blackhole }]);
    assert.deepEqual(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }), []);
  });

  scenario('a batch keeps its order, and a refusal does not stop it', ({ kernel }) => {
    const other: Route = { ...blackhole, destination: cidr('192.168.8.0/26') };
    kernel.apply([
      { kind: 'addRoute', route: blackhole },
      { kind: 'deleteRoute', route: blackhole },
    ]);
    assert.deepEqual(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }), []);
    kernel.apply([{ kind: 'addRoute', route: blackhole }]);
    assert.throws(
      () =>
        kernel.apply([
          { kind: 'addRoute', route: blackhole },
          { kind: 'addRoute', route: other },
        ]),
      (cause: OpError) => cause.errno === 17 && cause.op === 'add route 192.168.7.0/26',
    );
    const left = kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).map((r) => r.destination);
    assert.deepEqual(left.sort(), ['192.168.7.0/26', '192.168.8.0/26']);
  });

  scenario(
    'a deletion names protocol, kind and link, whatever the scope',
    async ({ kernel, podNetns }) => {
      const { index } = await kernel.addVeth(pair(podNetns));
      kernel.apply([{ kind: 'setLink', index, up: true }]);
      const route: Route = {
        ...blackhole,
        kind: 'unicast',
        scope: 'link',
        linkIndex: index,
        protocol: ROUTE_PROTOCOL.boot,
      };
      const remaining = (named: Route): number => {
        kernel.apply([{ kind: 'deleteRoute', route: named }]);
        return kernel.routes({ protocol: ROUTE_PROTOCOL.boot, family: 4 }).length;
      };
      kernel.apply([{ kind: 'addRoute', route }]);
      assert.equal(remaining({ ...route, protocol: ROUTE_PROTOCOL.bird }), 1);
      assert.equal(remaining({ ...route, linkIndex: 1 }), 1);
      assert.equal(remaining({ ...blackhole, protocol: ROUTE_PROTOCOL.boot }), 1);
      assert.equal(remaining({ ...route, scope: 'global' }), 0);
    },
  );

  scenario(
    'IPv6: address, link route and blackhole read back as written',
    async ({ kernel, podNetns }) => {
      const { index } = await kernel.addVeth(pair(podNetns));
      const route: Route = {
        destination: cidr('fd00:7::5/128'),
        kind: 'unicast',
        linkIndex: index,
        scope: 'link',
        onlink: false,
        protocol: ROUTE_PROTOCOL.bird,
        metric: 1024,
      };
      const block: Route = { ...blackhole, destination: cidr('fd00:7::/122'), metric: 1024 };
      const address = { linkIndex: index, ip: ip('fd00:9::1'), prefixLength: 128 };
      kernel.apply([
        { kind: 'setLink', index, up: true },
        { kind: 'addAddress', ...address },
        { kind: 'addRoute', route },
        { kind: 'addRoute', route: { ...block, metric: 0 } }, // 1024 in the kernel's eyes
      ]);
      const ours = kernel.routes({ protocol: ROUTE_PROTOCOL.bird, family: 6 });
      assert.deepEqual(
        [...ours].sort((a, b) => (a.destination < b.destination ? -1 : 1)),
        [block, route],
      );
      assert.throws(() => kernel.apply([{ kind: 'addRoute', route: block }]), hasErrno(17));
      assert.ok(kernel.addresses().some((a) => a.ip === 'fd00:9::1' && a.prefixLength === 128));
      kernel.apply([
        { kind: 'deleteRoute', route },
        { kind: 'deleteRoute', route: { ...block, metric: 0 } },
        { kind: 'deleteAddress', ...address },
      ]);
      assert.deepEqual(kernel.routes({ protocol: ROUTE_PROTOCOL.bird, family: 6 }), []);
    },
  );

  routeCases(scenario);
  vxlanCases(scenario);

  scenario('what is not there: link, address, device', ({ kernel }) => {
    const none = { linkIndex: 1, ip: ip('10.9.9.9'), prefixLength: 32 };
    assert.equal(kernel.link('calinone'), undefined);
    assert.throws(() => kernel.apply([{ kind: 'deleteAddress', ...none }]), hasErrno(99));
    assert.throws(() => kernel.apply([{ kind: 'setLink', index: 9999, up: true }]), hasErrno(19));
  });

  scenario(
    'a pod: address, gateway, default route, host route; all go with the link',
    async ({ kernel, podNetns }) => {
      const host = await kernel.addVeth(pair(podNetns));
      kernel.apply([{ kind: 'setLink', index: host.index, up: true }]);
      const inside = kernel.enter(podNetns);
      const eth0 = inside.link('eth0')!.index;
      const base = {
        linkIndex: eth0,
        kind: 'unicast',
        protocol: ROUTE_PROTOCOL.boot,
        metric: 0,
        onlink: false,
      } as const;
      inside.apply([
        { kind: 'setLink', index: eth0, up: true },
        { kind: 'addAddress', linkIndex: eth0, ip: ip('192.168.7.5'), prefixLength: 32 },
        {
          kind: 'addRoute',
          route: { ...base, destination: cidr('169.254.1.1/32'), scope: 'link' },
        },
        {
          kind: 'addRoute',
          route: {
            ...base,
            destination: cidr('0.0.0.0/0'),
            gateway: ip('169.254.1.1'),
            scope: 'global',
            onlink: true,
          },
        },
        {
          kind: 'setNeighbour',
          linkIndex: eth0,
          ip: ip('169.254.1.1'),
          mac: mac('ee:ee:ee:ee:ee:ee'),
        },
      ]);
      assert.deepEqual(
        inside
          .routes({ family: 4 })
          .map((r) => r.destination)
          .sort(),
        ['0.0.0.0/0', '169.254.1.1/32'],
      );
      assert.ok(inside.addresses().some((a) => a.ip === '192.168.7.5' && a.prefixLength === 32));
      inside.close();
      const route: Route = {
        ...base,
        linkIndex: host.index,
        destination: cidr('192.168.7.5/32'),
        scope: 'link',
      };
      kernel.apply([{ kind: 'addRoute', route }]);
      assert.deepEqual(kernel.routes({ protocol: ROUTE_PROTOCOL.boot, family: 4 }), [route]);
      assert.equal(await kernel.deleteLink('calitest'), true);
      assert.equal(await kernel.deleteLink('calitest'), false);
      assert.deepEqual(kernel.routes({ protocol: ROUTE_PROTOCOL.boot, family: 4 }), []);
      assert.equal(kernel.enter(podNetns).link('eth0'), undefined);
    },
  );

  scenario('links of a group go together, others stay', async ({ kernel, podNetns }) => {
    await kernel.deleteLinkGroup(77); // none
    for (const number of [1, 2, 3]) {
      const link = await kernel.addVeth({
        ...pair(podNetns),
        name: `calig${number}`,
        peer: `p${number}`,
      });
      if (number < 3) kernel.apply([{ kind: 'setLink', index: link.index, group: 77 }]);
    }
    await kernel.deleteLinkGroup(77);
    const names = kernel.links().map(({ name }) => name);
    assert.deepEqual(
      names.filter((name) => name.startsWith('calig')),
      ['calig3'],
    );
    const inside = kernel.enter(podNetns);
    assert.deepEqual([inside.link('p1'), inside.link('p3')?.name], [undefined, 'p3']);
    inside.close();
    await kernel.deleteLink('calig3');
  });

  scenario('IPv4 settings of a link read back as its sysctls', async ({ kernel, podNetns }) => {
    const { index } = await kernel.addVeth(pair(podNetns));
    const read = () =>
      ['forwarding', 'proxy_arp', 'rp_filter'].map((name) =>
        kernel.getSysctl(`ipv4/conf/calitest/${name}`),
      );
    const on = { forwarding: true, proxyArp: true, rpFilter: 1 } as const;
    kernel.apply([{ kind: 'setLink', index, ipv4: on }]);
    assert.deepEqual(read(), ['1', '1', '1']);
    kernel.apply([{ kind: 'setLink', index, ipv4: { ...on, proxyArp: false, rpFilter: 0 } }]);
    assert.deepEqual(read(), ['1', '0', '0']);
    await kernel.deleteLink('calitest');
  });

  scenario('sysctls are those of the namespace', ({ kernel, podNetns }) => {
    kernel.setSysctl('ipv4/ip_forward', '1');
    const inside = kernel.enter(podNetns);
    inside.setSysctl('ipv4/ip_forward', '0');
    assert.deepEqual(
      [kernel.getSysctl('ipv4/ip_forward'), inside.getSysctl('ipv4/ip_forward')],
      ['1', '0'],
    );
    inside.close();
  });

  scenario('a subscription tells of routes that come and go', async ({ kernel }) => {
    const stop = new AbortController();
    const events: KernelEvent[] = [];
    const two = new Promise<void>((resolve) => {
      kernel.subscribe((event) => {
        if (event.kind === 'route' && event.route.destination === blackhole.destination)
          events.push(event);
        if (events.length === 2) resolve();
      }, stop.signal);
    });
    kernel.apply([{ kind: 'addRoute', route: blackhole }]);
    kernel.apply([{ kind: 'deleteRoute', route: blackhole }]);
    await two;
    assert.deepEqual(
      events.map((e) => e.kind === 'route' && e.gone),
      [false, true],
    );
    stop.abort();
  });

  scenario(
    'several listen; one that has ended hears nothing, the others go on',
    async ({ kernel }) => {
      const heard: string[] = [];
      const listen = (name: string): AbortController => {
        const stop = new AbortController();
        kernel.subscribe((event) => {
          if (event.kind === 'route' && event.route.destination === blackhole.destination)
            heard.push(`${name} ${event.gone ? 'gone' : 'there'}`);
        }, stop.signal);
        return stop;
      };
      const change = async (kind: 'addRoute' | 'deleteRoute', all: readonly string[]) => {
        kernel.apply([{ kind, route: blackhole }]);
        const end = performance.now() + 2000;
        while (heard.length < all.length && performance.now() < end)
          await new Promise((resolve) => setTimeout(resolve, 5));
        assert.deepEqual(heard.splice(0).toSorted(), all);
      };
      const [a, b] = [listen('a'), listen('b')];
      await change('addRoute', ['a there', 'b there']);
      a.abort();
      await change('deleteRoute', ['b gone']);
      b.abort();
      const c = listen('c'); // after a time without anybody
      await change('addRoute', ['c there']);
      c.abort();
      kernel.apply([{ kind: 'deleteRoute', route: blackhole }]);
    },
  );

  scenario('a subscription tells of links and addresses', async ({ kernel, podNetns }) => {
    const stop = new AbortController();
    const told: string[] = [];
    const gone = new Promise<void>((resolve) => {
      kernel.subscribe((event) => {
        const sign = 'gone' in event && event.gone ? '-' : '+';
        if (event.kind === 'address' && event.address.ip === '10.1.1.1')
          told.push(`${sign}address`);
        if (event.kind !== 'link' || event.link.name !== 'calitest') return;
        told.push(`${sign}link${event.link.up ? ' up' : ''}`);
        if (event.gone) resolve();
      }, stop.signal);
    });
    const { index } = await kernel.addVeth(pair(podNetns));
    const address = { linkIndex: index, ip: ip('10.1.1.1'), prefixLength: 32 };
    kernel.apply([
      { kind: 'setLink', index, up: true },
      { kind: 'addAddress', ...address },
      { kind: 'deleteAddress', ...address },
      { kind: 'addAddress', ...address, scope: 'link' },
    ]);
    const { scope } = kernel.addresses().find((found) => found.ip === address.ip)!;
    assert.equal(scope, 'link');
    await kernel.deleteLink('calitest');
    await gone;
    stop.abort();
    for (const what of ['+link', '+link up', '+address', '-address'])
      assert.ok(told.includes(what), `${what} in ${told}`);
    assert.match(told.at(-1)!, /^-link/);
  });
}
