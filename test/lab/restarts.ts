// Agent and speaker of a host end together, as on a node whose pod is replaced or crashes, while its pods
// and the others' talk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './command.ts';
import type { Hosts } from './three-hosts.ts';
import { Pinging } from './traffic.ts';

/** `to`: the hosts whose pods talk with those of the first, both ways. */
export function restarts(hostsNow: () => Hosts, to: readonly number[]): void {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const)
    test(`agent and speaker of a host start again after ${signal}: no packet is lost`, async () => {
      const hosts = hostsNow();
      for (const other of to) await hosts.ping(0, other);
      const links = (): string => hosts.host(0).exec(['ip', '-o', 'link', 'show']);
      const before = { routes: hosts.routes(0).toSorted(), links: links() };
      const pings = to.flatMap((other) =>
        [
          [0, other],
          [other, 0],
        ].map(([from, at]) => new Pinging(hosts.pod(from!).netns, hosts.pod(at!).ip)),
      );
      await hosts.restartNode(0, signal);
      await eventually(
        `the routes are as before: ${hosts.routes(0).join(' | ')}`,
        () => assert.deepEqual(hosts.routes(0).toSorted(), before.routes) === undefined,
      );
      assert.equal(links(), before.links, 'devices were adopted, not made anew');
      const lost = await Promise.all(pings.map((ping) => ping.lost()));
      assert.deepEqual(
        lost,
        pings.map(() => 0),
        'packets without an answer',
      );
    });
}
