// One suite for every kernel: the memory twin and Linux must agree in each case.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpError } from '../base/op-error.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import { type Kernel, type KernelEvent, ROUTE_PROTOCOL, type Route } from './kernel.ts';

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
    test(`${name}: ${what}`, async () => {
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

  scenario('a veth pair: both ends, MTU, MAC, up', ({ kernel, podNetns }) => {
    const host = kernel.addVeth(pair(podNetns));
    kernel.apply([{ kind: 'setLink', index: host.index, up: true, mac: mac('ee:ee:ee:ee:ee:ee') }]);
    const seen = kernel.link('calitest');
    assert.deepEqual(
      [seen?.kind, seen?.mtu, seen?.mac, seen?.up],
      ['veth', 1440, 'ee:ee:ee:ee:ee:ee', true],
    );
    const inside = kernel.enter(podNetns);
    assert.equal(inside.link('eth0')?.mac, '02:11:22:33:44:55');
    assert.equal(kernel.link('eth0'), undefined);
    inside.close();
  });

  scenario('a name that is taken is EEXIST; an absent namespace ENOENT', ({ kernel, podNetns }) => {
    kernel.addVeth(pair(podNetns));
    assert.throws(() => kernel.addVeth(pair(podNetns)), hasErrno(17));
    assert.throws(() => kernel.enter('/run/netns/ckt-nowhere'), hasErrno(2));
    assert.throws(
      () => kernel.addVeth({ ...pair('/run/netns/ckt-nowhere'), name: 'calix' }),
      hasErrno(2),
    );
  });

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

  scenario(
    'a pod: address, gateway, default route, host route; all go with the link',
    async ({ kernel, podNetns }) => {
      const host = kernel.addVeth(pair(podNetns));
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
}
