// IP-in-IP that somebody forges, frame by frame: from the wire and from pods, with all kinds of sources.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../../lab/command.ts';
import type { Hosts } from '../../lab/three-hosts.ts';
import { echoesOf } from '../../lab/traffic.ts';
import { macOf, sendIpip } from './raw.ts';

const FORGED = 3;

/** On hosts with ipipMode Always. */
export function forgeries(hostsNow: () => Hosts): void {
  test('forged IP-in-IP, frame by frame, reaches no pod', async () => {
    const hosts = hostsNow();
    const [victim, other] = [hosts.pod(0), hosts.pod(1)];
    const host = hosts.host(0);
    const fabric = `${hosts.lab.prefix}-fab`;
    const before = echoesOf(victim.netns);
    const forge = (from: string, link: string, mac: string, source: string): void => {
      for (const inner of [source, other.ip, hosts.addressOf(1), '8.8.8.8'])
        for (let i = 0; i < FORGED; i++)
          sendIpip({
            ...{ from, link, mac },
            outer: [source, hosts.addressOf(0)],
            inner: [inner, victim.ip],
          });
    };
    // From the wire, as a machine that is no node.
    forge(fabric, 'h1', macOf(host.netns, 'eth0'), '10.201.0.99');
    // From pods: of another host, and of the victim's own.
    const gateway = 'ee:ee:ee:ee:ee:ee';
    forge(other.netns, 'eth0', gateway, other.ip);
    const neighbour = await hosts.lab.addPod(host, 'neighbour');
    forge(neighbour.netns, 'eth0', gateway, neighbour.ip);
    // Nor with a node's address outside.
    forge(neighbour.netns, 'eth0', gateway, hosts.addressOf(1));
    await pause(500);
    assert.equal(echoesOf(victim.netns) - before, 0, 'a forged packet arrived');
    // The same frames do arrive where they are a node's.
    const inner = [other.ip, victim.ip] as const;
    const outer = [hosts.addressOf(1), hosts.addressOf(0)] as const;
    const mac = macOf(host.netns, 'eth0');
    const send = () => sendIpip({ from: hosts.host(1).netns, link: 'eth0', mac, outer, inner });
    await eventually('a true one arrives', () => send() ?? echoesOf(victim.netns) > before);
    await hosts.lab.deletePod(host, neighbour);
  });
}
