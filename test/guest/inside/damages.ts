// What somebody does by hand to tunl0, its address and its routes is mended within a second, however soon it
// happens again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, machineMilliseconds, run } from '../../lab/command.ts';
import type { Hosts } from '../../lab/three-hosts.ts';

const MENDED_MS = 1000;

/** Whether the kernel has a tunl0 of its own in every namespace, which `ip link delete` leaves alone. */
export type Origin = 'kernel' | 'ours';

const throughTunnel = (hosts: Hosts, to: number): string =>
  `${hosts.blockOf(to)} via ${hosts.addressOf(to)} dev tunl0 proto bird onlink`;

function harmsTo(hosts: Hosts, tunnel: string, origin: Origin): readonly string[] {
  const [address, link] = [`ip addr delete ${tunnel}/32 dev tunl0`, 'ip link set tunl0'];
  return [
    ...[address, address, address], // the routes go with it, and the kernel says nothing of them
    'ip addr add 192.0.2.1/32 dev tunl0',
    ...[`${link} down`, `${link} down`],
    `${link} mtu 1300`,
    `ip route delete ${hosts.blockOf(1)} proto bird`,
    `ip route delete blackhole ${hosts.blockOf(0)} proto bird`,
    ...(origin === 'ours' ? ['ip link delete tunl0', 'ip link delete tunl0'] : []),
  ];
}

/** Throws what is missing on the first host. */
function isWhole(hosts: Hosts, tunnel: string): true {
  const shown = hosts.host(0).exec(['ip', 'addr', 'show', 'dev', 'tunl0']);
  const address = `inet ${tunnel}/32 scope global tunl0`;
  assert.match(shown, new RegExp(`tunl0.*[<,]UP[,>].* mtu 1480 [^]*${address}`));
  assert.doesNotMatch(shown, /192\.0\.2\.1/);
  const lines = hosts.routes(0);
  const through = [1, 2].map((other) => throughTunnel(hosts, other));
  for (const route of [`blackhole ${hosts.blockOf(0)} proto bird`, ...through])
    assert.ok(lines.includes(route), `${route} is missing: ${lines.join(' | ')}`);
  return true;
}

const since = (began: number): number => machineMilliseconds(performance.now() - began);

/** On hosts with ipipMode Always. */
export function damages(hostsNow: () => Hosts, origin: Origin): void {
  const whose = origin === 'ours' ? 'our' : "the kernel's";
  test(`whatever is done to ${whose} tunl0 is mended within a second`, async () => {
    const hosts = hostsNow();
    const tunnel = hosts.node(0).spec.bgp?.['ipv4IPIPTunnelAddr'] ?? '';
    isWhole(hosts, tunnel);
    for (const harm of harmsTo(hosts, tunnel, origin)) {
      hosts.host(0).exec(harm.split(' '));
      const began = performance.now();
      let took = 0; // until the look began that finds it whole: looking is no part of mending
      const look = (): true => {
        took = since(began);
        return isWhole(hosts, tunnel);
      };
      await eventually(`mended: ${harm}`, look, 3 * MENDED_MS);
      console.log(`mended after ${took} ms: ${harm}`);
      assert.ok(took <= MENDED_MS, `${took} ms for ${harm}`);
    }
    await hosts.ping(0, 1);
    await hosts.ping(2, 0);
  });

  if (origin === 'kernel')
    test('the module is taken out: it is loaded again, and every host has its tunnel', async () => {
      const hosts = hostsNow();
      run(['rmmod', 'ipip']);
      const began = performance.now();
      for (const [from, to] of [
        [0, 1],
        [1, 2],
        [2, 0],
      ] as const)
        await eventually(`host ${from} leads to ${to}`, () =>
          hosts.routes(from).includes(throughTunnel(hosts, to)),
        );
      console.log(`ipip is back after ${since(began)} ms`);
      await hosts.ping(0, 1);
      await hosts.ping(2, 0);
    });
}
