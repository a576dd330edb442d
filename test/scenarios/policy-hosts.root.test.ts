// Packets to, from and through a host whose interface is guarded by a host endpoint.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyValue } from '../../src/datastore/store.ts';
import { eventually } from '../lab/command.ts';
import { withNetns } from '../lab/netns.ts';
import { endpoint, exec, type Pod, PROFILE, reaches, stored, withPods } from './policy-pods.ts';

const HOST = '10.66.0.1';
const HOST_V6 = 'fd00:66::1';

const host = (spec: object): KeyValue =>
  stored('hostendpoints/h', 'HostEndpoint', { node: 'node1', ...spec }, { host: 'node1' });
const policy = (name: string, spec: object): KeyValue =>
  stored(`globalnetworkpolicies/${name}`, 'GlobalNetworkPolicy', {
    selector: "host == 'node1'",
    ...spec,
  });
const tcp = (action: string, ...ports: number[]): object => ({
  action,
  protocol: 'TCP',
  destination: { ports },
});

test('a guarded interface: failsafes, normal, forward, preDNAT and untracked policies', () =>
  withPods(['a'], async ({ node, pods, kernel, start }) => {
    const [pod] = pods as [Pod];
    const [outside] = withNetns(`ckt-policy-${process.pid}`, ['outside']);
    const peer: Pod = {
      name: 'outside',
      address: '10.66.0.2',
      ipv6: 'fd00:66::2',
      netns: outside!,
    };
    try {
      exec(
        node,
        'ip',
        'link',
        'add',
        'fab0',
        'type',
        'veth',
        'peer',
        'eth0',
        'netns',
        outside!.name,
      );
      for (const [at, device, last] of [
        [node, 'fab0', 1],
        [outside!, 'eth0', 2],
      ] as const) {
        exec(at, 'sysctl', '-qw', `net.ipv6.conf.${device}.accept_dad=0`);
        exec(at, 'ip', 'address', 'add', `10.66.0.${last}/24`, 'dev', device);
        exec(at, 'ip', 'address', 'add', `fd00:66::${last}/64`, 'dev', device);
        exec(at, 'ip', 'link', 'set', device, 'up');
      }
      exec(outside!, 'ip', 'route', 'add', pod.address, 'via', HOST);

      const web = endpoint(pod, 'web');
      const engine = start([PROFILE, web, host({ interfaceName: 'fab0' })]);
      await engine.inSync();
      const settled = async (...items: readonly KeyValue[]): Promise<void> => {
        engine.changes(items.map((item) => ({ kind: 'put', item })));
        await engine.putEndpoint(web.key, web.value);
      };
      for (const address of [HOST, HOST_V6]) {
        assert.ok(!reaches(peer, address, 80), `${address}: closed without a policy`);
        assert.ok(reaches(peer, address, 22), `${address}: but for the failsafe ports`);
      }
      assert.ok(reaches(peer, pod.address, 80), 'nothing is said of forwarded packets');

      const ingress = ['Ingress'];
      await settled(policy('normal', { types: ingress, ingress: [tcp('Allow', 80, 8080)] }));
      for (const address of [HOST, HOST_V6]) {
        await eventually(`${address}: the policy allows`, () => reaches(peer, address, 80));
        assert.ok(!reaches(peer, address, 81), `${address}: no more than it says`);
      }

      const forward = { types: ingress, applyOnForward: true, ingress: [tcp('Allow', 82)] };
      await settled(policy('forward', forward));
      assert.ok(!reaches(peer, pod.address, 80), 'forwarded packets are asked now');
      assert.ok(reaches(peer, pod.address, 82));

      const before = { preDNAT: true, applyOnForward: true, types: ingress };
      await settled(policy('before', { ...before, ingress: [tcp('Deny', 8080)] }));
      assert.ok(!reaches(peer, HOST, 8080), 'denied before the normal policy is asked');
      assert.ok(reaches(peer, HOST, 80));

      await settled(
        policy('untracked', {
          doNotTrack: true,
          applyOnForward: true,
          ingress: [tcp('Allow', 83)],
          egress: [{ action: 'Allow', protocol: 'TCP', source: { ports: [83] } }],
        }),
      );
      assert.ok(reaches(peer, HOST, 83), 'both directions are let through untracked');
      assert.ok(!reaches(peer, HOST, 81));

      engine.changes([{ kind: 'delete', key: host({}).key, revision: 2n }]);
      await engine.putEndpoint(web.key, web.value);
      await engine.close();

      kernel.commits = 0;
      const restarted = start([PROFILE, web]);
      await restarted.inSync();
      assert.ok(reaches(peer, HOST, 81), 'not guarded any more');
      await eventually('nor over IPv6', () => reaches(peer, HOST_V6, 81));
    } finally {
      outside!.remove();
    }
  }));
