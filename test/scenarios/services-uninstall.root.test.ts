// What uninstall does on a node that serves services, in the kernel: of their rules nothing stays, and of
// others' everything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanUpNode } from '../../src/agent/clean-up.io.ts';
import { openLog } from '../../src/base/log.io.ts';
import { openIpSets } from '../../src/kernel/ipset/ipsets.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { openKernel } from '../../src/kernel/netns.io.ts';
import { netnsPath } from '../lab/netns.ts';
import { exec } from './policy-pods.ts';
import {
  ask,
  NODE_ADDRESS,
  PORT,
  type ServicesNode,
  service,
  slice,
  withServicesNode,
} from './services-node.ts';

const [VIP, NODE_PORT] = ['10.96.0.20', 30080];
const FOREIGN: readonly string[] = [
  '-t nat -N KUBE-KUBELET-CANARY',
  '-t nat -N OTHERS',
  '-t nat -A OTHERS -d 10.9.9.9/32 -j RETURN',
  '-t nat -A PREROUTING -j OTHERS',
  '-A FORWARD -s 10.9.9.0/24 -j ACCEPT',
];
/** Kubelet writes them too: they stay, as after kube-proxy's own --cleanup. */
const SHARED = ['KUBE-FIREWALL', 'KUBE-MARK-DROP', 'KUBE-MARK-MASQ'];

/** Rules and chains without counters, policies and comments of the command. */
const saved = ({ node }: ServicesNode, backend: string): readonly string[] =>
  ['iptables', 'ip6tables'].flatMap((program) =>
    exec(node, `${program}-${backend}-save`)
      .split('\n')
      .filter((line) => /^(:|-A)/.test(line))
      .map((line) => `${program} ${line.replace(/ \[\d+:\d+\]$/, '')}`),
  );

const isShared = (line: string): boolean =>
  SHARED.some((name) =>
    [`:${name} `, `-A ${name} `, `-A INPUT -j ${name}`, `-A OUTPUT -j ${name}`].some((text) =>
      line.includes(text),
    ),
  );

for (const backend of ['nft', 'legacy'] as const)
  test(`${backend}: uninstall leaves others' rules and none of services, and takes no second time`, () =>
    withServicesNode(['a'], async (bench) => {
      const { node, pods, kubernetes, start } = bench;
      const place = { netnsPath: netnsPath(node.name), backend };
      for (const line of FOREIGN) exec(node, `iptables-${backend}`, ...line.split(' '));
      const before = saved(bench, backend);
      const ports = [
        { name: '', protocol: 'TCP', port: 80, targetPort: PORT, nodePort: NODE_PORT },
      ];
      const spec = { type: 'NodePort', clusterIP: VIP, ports };
      kubernetes.put('wholeservices', service('web', { ...spec, clusterIPs: [VIP, 'fd00:96::1'] }));
      kubernetes.put('wholeendpointslices', slice('web', pods));
      const { engine } = await start(
        { tables: await openTables(place), ipv6Tables: await openTables({ ...place, family: 6 }) },
        { CALICO_SERVICE_PROXY_LOCALHOST_NODE_PORTS: 'true' },
      );
      assert.match(ask({ from: node, to: VIP, port: 80 }) ?? '', /^a /);
      assert.match(ask({ from: node, to: NODE_ADDRESS, port: NODE_PORT }) ?? '', /^a /);
      await engine.close();

      const tables = await openTables(place);
      const ipv6Tables = await openTables({ ...place, family: 6 });
      const ipSets = await openIpSets({ netnsPath: place.netnsPath });
      const clean = () =>
        cleanUpNode({
          kernel: openKernel().enter(place.netnsPath),
          ...{ tables, ipv6Tables, ipSets },
          paths: [],
          removeCni: () => undefined,
          releasesServices: true,
          log: openLog('test', 'silent'),
        });
      try {
        await clean();
        const after = saved(bench, backend);
        const left = after.filter((line) => line.includes('KUBE-') && !isShared(line));
        assert.deepEqual(left, ['iptables :KUBE-KUBELET-CANARY -']);
        for (const line of before) assert.ok(after.includes(line), `${line} has gone`);
        assert.equal(exec(node, 'sysctl', '-n', 'net.ipv4.conf.all.route_localnet').trim(), '0');
        assert.equal(ask({ from: node, to: NODE_ADDRESS, port: NODE_PORT }), undefined);
        await clean();
        assert.deepEqual(saved(bench, backend), after);
      } finally {
        await Promise.all([tables.close(), ipv6Tables.close(), ipSets.close()]);
      }
    }));
