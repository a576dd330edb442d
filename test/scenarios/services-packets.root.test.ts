// Services with real packets: cluster IP, node port, affinity, traffic that stays on the node, UDP that
// follows its endpoints, take-over and release.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { ServiceWriter } from '../../src/services/write/writer.io.ts';
import { netnsPath } from '../lab/netns.ts';
import { exec } from './policy-pods.ts';
import {
  ask,
  isRefused,
  NODE_ADDRESS,
  OUTSIDE_ADDRESS,
  PORT,
  type ServicesNode,
  service,
  slice,
  withServicesNode,
} from './services-node.ts';

const VIP = '10.96.0.20';
const NODE_PORT = 30080;
const TRIES = 12;
const REPAIR_MILLISECONDS = 1000;

const web = (spec: object = {}) =>
  service('web', {
    clusterIP: VIP,
    clusterIPs: [VIP],
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: PORT }],
    ...spec,
  });
const nodePort = (spec: object = {}) =>
  web({
    type: 'NodePort',
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: PORT, nodePort: NODE_PORT }],
    ...spec,
  });

/** Who answers, in some tries. */
const answers = (n: number, call: () => string | undefined): ReadonlySet<string | undefined> =>
  new Set(Array.from({ length: n }, () => call()?.split(' ')[0]));

const nat = async ({ node }: ServicesNode) => {
  const tables = await openTables({ netnsPath: netnsPath(node.name), backend: 'nft' });
  const content = await tables.read('nat');
  await tables.close();
  return content;
};

test('cluster IP: every endpoint answers; the one that asks itself is masqueraded; none: refused', () =>
  withServicesNode(['a', 'b', 'c'], async (bench) => {
    const { pods, kubernetes, start, outside } = bench;
    const [a, b, c] = pods as [(typeof pods)[0], (typeof pods)[0], (typeof pods)[0]];
    kubernetes.put('wholeservices', web());
    kubernetes.put('wholeendpointslices', slice('web', [a, b]));
    const { settled } = await start();
    const call = () => ask({ from: c.netns, to: VIP, port: 80 });
    assert.deepEqual(answers(4 * TRIES, call), new Set(['a', 'b']));
    assert.match(call() ?? '', new RegExp(` ${c.address}$`), 'the pod’s own address is seen');
    const fromOutside = ask({ from: outside, to: VIP, port: 80 }) ?? '';
    assert.doesNotMatch(fromOutside, new RegExp(OUTSIDE_ADDRESS), 'masqueraded');
    kubernetes.put('wholeendpointslices', slice('web', [a]));
    await settled();
    assert.deepEqual(answers(TRIES, call), new Set(['a']));
    assert.match(ask({ from: a.netns, to: VIP, port: 80 }) ?? '', /^a /, 'it reaches itself');
    kubernetes.put('wholeendpointslices', slice('web', []));
    await settled();
    assert.equal(call(), undefined);
    kubernetes.remove('wholeservices', 'web', 'default');
    await settled();
    const left = [...(await nat(bench)).keys()].filter((name) => /^KUBE-(SVC|SEP)-/.test(name));
    assert.deepEqual(left, []);
  }));

test('no endpoint is a refusal, also for what policy accepts', () =>
  withServicesNode(['a'], async ({ node, pods: [a], kubernetes, start }) => {
    const rule = (table: string, ...words: readonly string[]) =>
      exec(node, 'iptables-nft', '-t', table, '-A', ...words);
    const bit = '0x10000/0x10000';
    rule('mangle', 'PREROUTING', '-j', 'MARK', '--set-xmark', bit);
    const accepted = ['-m', 'comment', '--comment', 'cali:0123456789abcdef', '-m', 'mark'];
    rule('filter', 'FORWARD', ...accepted, '--mark', bit, '-j', 'ACCEPT');
    kubernetes.put('wholeservices', web());
    kubernetes.put('wholeendpointslices', slice('web', []));
    await start();
    assert.ok(isRefused(a!.netns, VIP, 80));
  }));

test('node port from outside; Local keeps the asker’s address, and drops where there is no endpoint', () =>
  withServicesNode(['a', 'b'], async ({ pods, kubernetes, start, outside }) => {
    kubernetes.put('wholeservices', nodePort());
    kubernetes.put('wholeendpointslices', slice('web', pods));
    const { settled } = await start();
    const call = () => ask({ from: outside, to: NODE_ADDRESS, port: NODE_PORT });
    assert.deepEqual(answers(4 * TRIES, call), new Set(['a', 'b']));
    assert.doesNotMatch(call() ?? '', new RegExp(OUTSIDE_ADDRESS), 'masqueraded');
    kubernetes.put('wholeservices', nodePort({ externalTrafficPolicy: 'Local' }));
    await settled();
    assert.match(call() ?? '', new RegExp(` ${OUTSIDE_ADDRESS}$`), 'as it came');
    kubernetes.put('wholeendpointslices', slice('web', pods, 'TCP', 'node2'));
    await settled();
    assert.equal(call(), undefined);
    assert.match(ask({ from: pods[0]!.netns, to: VIP, port: 80 }) ?? '', /^[ab] /);
  }));

test('session affinity: one client, one endpoint', () =>
  withServicesNode(['a', 'b', 'c'], async ({ pods, kubernetes, start, outside }) => {
    const affinity = { sessionAffinity: 'ClientIP' };
    const seconds = { sessionAffinityConfig: { clientIP: { timeoutSeconds: 100 } } };
    kubernetes.put('wholeservices', nodePort({ ...affinity, ...seconds }));
    kubernetes.put('wholeendpointslices', slice('web', pods));
    await start();
    const call = () => ask({ from: outside, to: NODE_ADDRESS, port: NODE_PORT });
    assert.equal(answers(TRIES, call).size, 1);
    const inside = () => ask({ from: pods[2]!.netns, to: VIP, port: 80 });
    assert.equal(answers(TRIES, inside).size, 1);
  }));

test('UDP: a sender that keeps its port goes on to an endpoint that is there', () =>
  withServicesNode(['a', 'b', 'c'], async ({ pods, kubernetes, start }) => {
    const ports = [{ name: '', protocol: 'UDP', port: 53, targetPort: PORT }];
    kubernetes.put('wholeservices', web({ ports }));
    kubernetes.put('wholeendpointslices', slice('web', [pods[0]!], 'UDP'));
    const { settled } = await start();
    const call = () => ask({ from: pods[2]!.netns, to: VIP, port: 53, udpFrom: 5555 });
    assert.match(call() ?? '', /^a /);
    kubernetes.put('wholeendpointslices', slice('web', [pods[1]!], 'UDP'));
    await settled();
    assert.match(call() ?? '', /^b /);
  }));

test('a restart writes nothing; what others flush is there again within a second', () =>
  withServicesNode(['a', 'b'], async (bench) => {
    const { pods, kubernetes, start, node } = bench;
    kubernetes.put('wholeservices', web());
    kubernetes.put('wholeendpointslices', slice('web', [pods[0]!]));
    const first = await start();
    const call = () => ask({ from: pods[1]!.netns, to: VIP, port: 80 });
    assert.match(call() ?? '', /^a /);
    await first.engine.close();
    assert.match(call() ?? '', /^a /, 'rules outlive the engine');
    const rounds: number[] = [];
    await start({
      observer: {
        synced: (_family, { lines }) => void rounds.push(lines),
        failed: () => undefined,
      },
    });
    assert.deepEqual(rounds, [0, 0]);
    const before = await nat(bench);
    // As a person does it, and not through this program's own restore child: every chain, the hooks too.
    exec(node, 'iptables-nft', '-t', 'nat', '-F');
    const flushedAt = performance.now();
    while (!isDeepStrictEqual(await nat(bench), before))
      assert.ok(performance.now() - flushedAt < REPAIR_MILLISECONDS, 'not repaired in time');
    assert.match(call() ?? '', /^a /);
  }));

test('release takes the rules out', () =>
  withServicesNode(['a', 'b'], async (bench) => {
    const { pods, kubernetes, start, node } = bench;
    kubernetes.put('wholeservices', web());
    kubernetes.put('wholeendpointslices', slice('web', [pods[0]!]));
    const { engine } = await start();
    await engine.close();
    const tables = await openTables({ netnsPath: netnsPath(node.name), backend: 'nft' });
    await new ServiceWriter(tables).release();
    await tables.close();
    assert.equal(ask({ from: pods[1]!.netns, to: VIP, port: 80 }), undefined);
    const left = [...(await nat(bench)).keys()].filter((name) => name.startsWith('KUBE-'));
    assert.deepEqual(left, ['KUBE-MARK-MASQ']);
  }));
