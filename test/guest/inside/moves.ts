// A node of an IP-in-IP mesh gets another address: sessions, tunnel routes and the set of all hosts follow.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../lab/command.ts';
import type { Hosts } from '../../lab/three-hosts.ts';

/** On hosts with ipipMode Always. */
export function moves(hostsNow: () => Hosts): void {
  test('another address of a node moves sessions, tunnel routes and the set of all hosts', async () => {
    const hosts = hostsNow();
    const host = hosts.host(1);
    const set = (index: number): string =>
      hosts.host(index).exec(['ipset', 'list', 'cali40all-hosts-net']);
    const move = async (before: string, next: string): Promise<void> => {
      host.exec(['ip', 'addr', 'delete', `${before}/24`, 'dev', 'eth0']);
      host.exec(['ip', 'addr', 'add', `${next}/24`, 'dev', 'eth0']);
      host.exec(['ip', 'route', 'replace', 'default', 'via', '10.201.0.1']);
      const block = hosts.blockOf(1);
      const route = `${block} via ${next} dev tunl0 proto bird onlink`;
      for (const index of [0, 2]) {
        await eventually(
          `host ${index} has ${route}`,
          () => hosts.routes(index).includes(route),
          20_000,
        );
        await eventually(`host ${index} knows ${next}`, () => set(index).includes(next));
        assert.ok(!set(index).includes(`${before}\n`), set(index));
      }
      assert.equal(hosts.node(1).spec.bgp?.['ipv4Address'], `${next}/24`);
      await hosts.ping(0, 1);
      await hosts.ping(1, 2);
    };
    await move(host.address, '10.201.0.77');
    await move('10.201.0.77', host.address); // for the tests that follow
    hosts.audit();
  });
}
