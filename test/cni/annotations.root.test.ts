// Annotations whose effect is seen in packets alone: real agent, rules and kernel.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { attempt, eventually, run } from '../lab/command.ts';
import {
  assertNothingLeft,
  CALICO,
  listOf,
  type Network,
  openNetwork,
  startApiServer,
} from './network.ts';
import type { Attachment, CniJson } from './runtime.ts';

interface Result extends CniJson {
  readonly ips: readonly { address: string }[];
}

const RESOURCES = '/calico/resources/v3/projectcalico.org';
const SPOOFS = { 'cni.projectcalico.org/allowedSourcePrefixes': '["10.55.0.0/16"]' };
const FLOATING = '192.168.250.1';
const FLOATS = { 'cni.projectcalico.org/floatingIPs': `["${FLOATING}"]` };
const QOS = 'qos.projectcalico.org/';
const SLOW = Object.fromEntries(
  ['ingress', 'egress'].flatMap((way) => [
    [`${QOS}${way}Bandwidth`, '1M'],
    [`${QOS}${way}Burst`, '800k'],
  ]),
);
const FEW = { [`${QOS}ingressPacketRate`]: '2', [`${QOS}ingressPacketBurst`]: '4' };
const TWO = { [`${QOS}ingressMaxConnections`]: '2' };
const LIST = listOf([{ ...CALICO, policy: { type: 'k8s' } }]);

const pod = (name: string, annotations = {}) => ({
  metadata: { name, namespace: 'default', annotations },
  spec: { nodeName: 'h1', containers: [] },
});
const resource = (kind: string, name: string, spec: object) => ({
  kind,
  apiVersion: 'projectcalico.org/v3',
  metadata: { name },
  spec,
});

describe('annotations, in packets', { timeout: 120_000 }, () => {
  let network: Network;
  let stopApiServer = (): void => {};
  before(async () => {
    network = await openNetwork(async (host) => {
      const server = await startApiServer(host, {
        namespaces: [{ metadata: { name: 'default' } }],
        pods: [
          ...[pod('early', SPOOFS), pod('spoofs', SPOOFS), pod('plain'), pod('target')],
          ...[pod('floats', FLOATS), pod('calls')],
          ...[pod('slow', SLOW), pod('few', FEW), pod('two', TWO), pod('asks')],
        ],
      });
      stopApiServer = server.stop;
      return { KUBECONFIG: server.kubeconfig };
    });
    const allow = [{ action: 'Allow' }];
    const open = resource('Profile', 'kns.default', { ingress: allow, egress: allow });
    await network.put(`${RESOURCES}/profiles/kns.default`, open);
  });
  after(async () => {
    stopApiServer();
    await network?.lab.stop();
  });

  const container = (name: string): Attachment =>
    network.container(name, { args: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}` });
  const add = async (one: Attachment, list = LIST): Promise<string> => {
    const { ips } = (await network.runtime.add(list, one)) as Result;
    return ips[0]!.address.split('/')[0]!;
  };

  test('allowedSourcePrefixes: only where the cluster allows it, only for that pod, only those prefixes', async () => {
    const [early, spoofs, plain, target] = ['early', 'spoofs', 'plain', 'target'].map(container);
    await add(early!); // source spoofing is not allowed yet: the annotation has no effect
    const felix = resource('FelixConfiguration', 'default', { workloadSourceSpoofing: 'Any' });
    await network.put(`${RESOURCES}/felixconfigurations/default`, felix);
    await eventually('the setting is heard', async () => {
      await add(spoofs!);
      const stored = JSON.stringify([...(await network.stored(`${RESOURCES}/workloadendpoints/`))]);
      if (stored.includes('allowSpoofedSourcePrefixes')) return true;
      await network.runtime.delete(LIST, spoofs!);
      return false;
    });
    await add(plain!);
    const there = await add(target!);
    const heard = (): number => {
      const [, values = ''] = network
        .inside(target!, 'cat', '/proc/net/snmp')
        .split('\n')
        .filter((line) => line.startsWith('Icmp:'));
      return Number(values.split(' ')[9]); // InEchos
    };
    /** Nobody has a way back: only what arrives counts. */
    const arrives = (one: Attachment, source: string): boolean => {
      network.inside(one, 'ip', 'address', 'replace', `${source}/32`, 'dev', 'lo');
      const [prefix, earlier] = [`--net=${one.netns}`, heard()];
      attempt(['nsenter', prefix, 'ping', '-c1', '-W1', '-I', source, there]);
      return heard() > earlier;
    };
    assert.ok(arrives(spoofs!, '10.55.3.4'), 'a source in the prefix');
    assert.ok(!arrives(spoofs!, '10.56.3.4'), 'a source beside it');
    assert.ok(!arrives(plain!, '10.55.3.5'), 'a pod that has not asked');
    assert.ok(!arrives(early!, '10.55.3.6'), 'a pod that asked before it was allowed');
    for (const one of [early, spoofs, plain, target]) await network.runtime.delete(LIST, one!);
    await assertNothingLeft(network);
  });

  test('floatingIPs: calls to it reach the pod, from elsewhere, from a pod beside it and from itself, once enabled', async () => {
    const feature_control = { floating_ips: true };
    const list = listOf([{ ...CALICO, policy: { type: 'k8s' }, feature_control }]);
    const [floats, calls] = [container('floats'), container('calls')];
    await add(floats, list);
    await add(calls, list);
    const fabric = network.lab.hosts[0]!.netns.replace(/-h1$/, '-fab');
    const hop = [FLOATING, 'via', network.host.address];
    run(['ip', '-n', fabric, 'route', 'replace', ...hop]);
    const from = (netns: string): boolean =>
      attempt(['nsenter', `--net=${netns}`, 'ping', '-c1', '-W1', FLOATING]).ok;
    const callers = [`/run/netns/${fabric}`, calls.netns, floats.netns];
    assert.deepEqual(callers.map(from), [false, false, false]);
    const felix = resource('FelixConfiguration', 'default', { floatingIPs: 'Enabled' });
    await network.put(`${RESOURCES}/felixconfigurations/default`, felix);
    await eventually('it is reached', () => from(callers[0]!));
    assert.deepEqual(callers.map(from), [true, true, true]);
    await network.runtime.delete(list, floats);
    await eventually(
      'it is gone',
      () => !network.host.exec(['iptables-nft-save']).includes(FLOATING),
    );
    await network.runtime.delete(list, calls);
    await assertNothingLeft(network);
  });

  test('qos bandwidth: what a pod gets and what it sends keep to the rate', async () => {
    const [slow, asks] = [container('slow'), container('asks')];
    const ips = [await add(slow), await add(asks)];
    const servers = [slow, asks].map((one) => serveIn(one, 400_000));
    try {
      const seconds = (from: Attachment, ip: string) =>
        eventually('it serves', () => {
          const argv = ['curl', '-sf', '-o', '/dev/null', '-w', '%{size_download} %{time_total}'];
          const { ok, output } = attempt([
            'nsenter',
            `--net=${from.netns}`,
            ...argv,
            `http://${ip}/`,
          ]);
          return ok && output.startsWith('400000 ') ? Number(output.split(' ')[1]) : undefined;
        });
      // A burst of 100,000 bytes goes at once, the rest at 125,000 a second.
      const sends = await seconds(asks, ips[0]!);
      assert.ok(sends > 2, `sent in ${sends} s`);
      const gets = await seconds(slow, ips[1]!);
      assert.ok(gets > 2, `got in ${gets} s`);
    } finally {
      for (const server of servers) server.kill();
    }
    for (const one of [slow, asks]) await network.runtime.delete(LIST, one);
    await assertNothingLeft(network);
  });

  test('qos packetRate and maxConnections: packets beyond are dropped, connections beyond refused', async () => {
    // From elsewhere: what a host sends to its own pods is never looked at, and what a neighbour on the
    // node sends on an established flow is accepted by the neighbour's chain, as Felix's would.
    const fabric = network.lab.hosts[0]!.netns.replace(/-h1$/, '-fab');
    const reach = (ip: string): void =>
      void run(['ip', '-n', fabric, 'route', 'replace', ip, 'via', network.host.address]);
    const [few, two] = [container('few'), container('two')];
    const ip = await add(few);
    reach(ip);
    const [prefix, count] = [`--net=/run/netns/${fabric}`, 40];
    const ping = ['ping', '-q', '-c', String(count), '-i', '0.01', '-W', '1', ip];
    const { output } = attempt(['nsenter', prefix, ...ping]);
    const received = Number(/(\d+) received/.exec(output)?.[1]);
    assert.ok(received >= 4 && received < count / 2, output);
    const server = serveIn(two, 5);
    const there = await add(two);
    reach(there);
    try {
      await eventually('it serves', () =>
        run(['nsenter', prefix, 'curl', '-sf', `http://${there}/`]),
      );
      const script = `const net = require('node:net'); const open = () => new Promise((tell) => {
        const socket = net.connect(80, '${there}', () => tell('open')).on('error', (e) => tell(e.code)); });
        (async () => { const seen = []; for (let i = 0; i < 4; i++) seen.push(await open());
        console.log(seen.join(' ')); process.exit(); })()`;
      const answers = () => run(['nsenter', prefix, process.execPath, '-e', script]).trim();
      await eventually(
        'those of before are over',
        () => answers() === 'open open ECONNREFUSED ECONNREFUSED',
      );
    } finally {
      server.kill();
    }
    const [[, stored]] = [
      ...(await network.stored(`${RESOURCES}/workloadendpoints/default/h1-k8s-two`)),
    ] as [[string, { spec: object }]];
    assert.deepEqual((stored.spec as { qosControls: object }).qosControls, {
      ingressMaxConnections: 2,
    });
    for (const one of [few, two]) await network.runtime.delete(LIST, one);
    await assertNothingLeft(network);
  });

  function serveIn({ netns }: Attachment, bytes: number) {
    const source = `require('node:http').createServer((_, answer) => answer.end('x'.repeat(${bytes}))).listen(80)`;
    return spawn('nsenter', [`--net=${netns}`, process.execPath, '-e', source], {
      stdio: 'ignore',
    });
  }
});
