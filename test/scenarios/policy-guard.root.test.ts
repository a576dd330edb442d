// The guard behind iptables' tables: between `iptables -F` and the repair nothing passes that policy has not
// accepted. The engine is closed meanwhile, so that nothing is repaired.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGuard } from '../../src/kernel/nftables/guard.io.ts';
import { attempt, eventually, runAsync } from '../lab/command.ts';
import { netnsPath } from '../lab/netns.ts';
import {
  ALLOW,
  askForGateway,
  DENY,
  endpoint,
  exec,
  type Pod,
  PROFILE,
  reaches,
  stored,
  withPods,
} from './policy-pods.ts';

/** The echoes of one command are one flow. */
const PING = stored('networkpolicies/default/knp.default.ping', 'NetworkPolicy', {
  order: 1000,
  selector: "app == 'server'",
  types: ['Ingress'],
  ingress: [{ action: 'Allow', protocol: 'ICMP' }],
});
const inPod = ({ netns }: Pod): readonly string[] => ['ip', 'netns', 'exec', netns.name];
const felix = (spec: object) => stored('felixconfigurations/default', 'FelixConfiguration', spec);

test('after a flush nothing new passes until the rules are back, and nothing that passed is cut', () =>
  withPods(['a', 'b'], async ({ node, pods, kernel, start }) => {
    const [a, b] = pods as [Pod, Pod];
    const place = netnsPath(node.name);
    const guards = { 4: openGuard(4, place, 'anybody'), 6: openGuard(6, place) };
    const stands = (family: 4 | 6): boolean => guards[family].look()?.isWhole === true;
    const isGone = (family: 4 | 6): boolean => guards[family].look() === undefined;
    const client = endpoint(a, 'client', [`${a.ipv6}/128`]);
    const server = endpoint(b, 'server', [`${b.ipv6}/128`]);
    const all = [PROFILE, client, server, DENY, ALLOW, PING];
    const accepts = (why: string): void => {
      for (const address of [b.address, b.ipv6]) {
        assert.ok(reaches(a, address, 80), `${why}: ${address}`);
        assert.ok(!reaches(a, address, 81), `${why}: ${address}`);
      }
    };

    const engine = start(all, { guards, guarded: true });
    await engine.inSync();
    await eventually('both guards stand', () => stands(4) && stands(6));
    accepts('with the guard');
    const flow = runAsync([...inPod(a), 'ping', '-i', '0.2', '-w', '8', b.address]);
    for (const pod of pods) assert.match(askForGateway(pod), /lladdr ee:ee/);
    await engine.close();

    for (const command of ['iptables', 'ip6tables']) exec(node, command, '-F');
    for (const address of [b.address, b.ipv6])
      for (const port of [80, 81]) assert.ok(!reaches(a, address, port), 'nothing was accepted');
    for (const pod of pods) assert.match(askForGateway(pod), /lladdr ee:ee/);
    assert.match(await flow, / 0% packet loss/, 'a flow that was accepted goes on');
    assert.ok(!attempt([...inPod(a), 'ping', '-c1', '-W1', b.address]).ok, 'a new one does not');

    const again = start(all, { guards, guarded: true });
    await again.inSync();
    await again.putEndpoint(server.key, server.value);
    accepts('repaired');
    again.changes([{ kind: 'put', item: felix({ iptablesMarkMask: 0xff00 }) }]);
    await again.putEndpoint(server.key, server.value);
    await eventually('the guard knows the other mark', () => reaches(a, b.address, 80));
    accepts('with another mark');
    exec(node, 'nft', 'delete', 'table', 'ip', 'calico-kit-guard');
    await eventually('a guard that others removed is back', () => stands(4));
    accepts('with a new guard');
    again.changes([{ kind: 'put', item: felix({ chainInsertMode: 'Append' }) }]);
    await eventually('where others may accept first there is none', () => isGone(4));
    await again.close();

    const without = start(all, { guards, guarded: false });
    await without.inSync();
    assert.ok(isGone(4) && isGone(6), 'switched off it goes');
    await without.close();
    assert.ok(kernel.commits > 0);
  }));
