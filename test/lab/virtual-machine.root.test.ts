// A KubeVirt VM from pod to pod: real agents and speakers on two hosts, a Kubernetes API beside each agent
// with pods as KubeVirt labels them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { auditIpam } from '../../src/ipam/audit.ts';
import { toolPath } from '../cluster/tools.ts';
import { startApiServer } from '../cni/network.ts';
import { eventually } from './command.ts';
import { CONFIG, type Lab, type LabPod, openLab } from './lab.ts';
import { items, keys } from './stored.ts';

const K8S = { ...CONFIG, policy: { type: 'k8s' } };
const PROFILE = '/calico/resources/v3/projectcalico.org/profiles/kns.default';
const ENDPOINTS = '/calico/resources/v3/projectcalico.org/workloadendpoints/default/';
const ALLOW = [{ action: 'Allow' }];
const VM = { 'kubevirt.io': 'virt-launcher', 'vm.kubevirt.io/name': 'db' };

const pod = (name: string, nodeName: string, labels = {}, phase = 'Running') => ({
  metadata: { name, namespace: 'default', labels },
  spec: { nodeName, containers: [] },
  status: { phase },
});

describe('a virtual machine', { timeout: 120_000 }, () => {
  let lab: Lab;
  const stops: (() => void)[] = [];
  before(async () => {
    lab = await openLab(2);
    const [h1, h2] = lab.hosts.map(({ name }) => name) as [string, string];
    const lists = {
      namespaces: [{ metadata: { name: 'default' } }],
      pods: [
        pod('near', h1),
        pod('far', h2),
        pod('db-1', h1, VM, 'Succeeded'),
        pod('db-2', h1, VM, 'Succeeded'),
        pod('db-3', h2, VM),
        pod('target', h1, { ...VM, 'kubevirt.io/migrationJobUID': 'm1' }),
      ],
    };
    for (const host of lab.hosts) {
      const server = await startApiServer(host, lists);
      stops.push(server.stop);
      await host.startAgent({ KUBECONFIG: server.kubeconfig });
      await host.startSpeaker();
    }
    const etcdctl = [await toolPath('etcdctl'), `--endpoints=${lab.etcdEndpoint}`];
    const profile = {
      kind: 'Profile',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'kns.default' },
      spec: { ingress: ALLOW, egress: ALLOW },
    };
    lab.host(0).exec([...etcdctl, 'put', PROFILE, JSON.stringify(profile)]);
  });
  after(async () => {
    for (const stop of stops) stop();
    await lab?.stop();
  });

  const call = async (
    command: string,
    index: number,
    one: Omit<LabPod, 'ip' | 'result'>,
    more = {},
  ) => {
    const config = { ...K8S, ...more };
    const reply = await lab.host(index).cni(lab.environment(command, one), config);
    assert.equal(reply.exit, 0, `${command} ${one.name}: ${reply.stdout}`);
    return reply.stdout;
  };
  const add = async (index: number, name: string): Promise<LabPod> => {
    const one = lab.newPod(name);
    const result = JSON.parse(await call('ADD', index, one)) as { ips: { address: string }[] };
    return { ...one, ip: result.ips[0]!.address.replace('/32', ''), result };
  };
  /** Pods with an endpoint. */
  const endpoints = async (): Promise<readonly string[]> =>
    (await keys(lab, ENDPOINTS)).map((key) => key.replace(/^[^-]+-k8s-(.*)-eth0$/, '$1')).sort();

  test('keeps its address: on its node beside the former pod, on another node, traffic follows', async () => {
    const [near, far] = [await add(0, 'near'), await add(1, 'far')];
    const reached = (from: LabPod, ip: string) =>
      eventually(`${from.name} reaches the VM`, () => lab.pings(from, ip), 20_000);
    const first = await add(0, 'db-1');
    for (const from of [near, far]) await reached(from, first.ip);

    const second = await add(0, 'db-2');
    assert.equal(second.ip, first.ip);
    assert.deepEqual(await endpoints(), ['db--2', 'far', 'near']);
    for (const from of [near, far])
      assert.ok(lab.pings(from, first.ip), 'while the former is there');
    await call('DEL', 0, first);
    for (const from of [near, far]) assert.ok(lab.pings(from, first.ip), 'when it is gone');
    await call('CHECK', 0, second, { prevResult: second.result });

    const third = await add(1, 'db-3');
    assert.equal(third.ip, first.ip);
    assert.deepEqual(await endpoints(), ['db--3', 'far', 'near']);
    await call('DEL', 0, second);
    for (const from of [far, near]) await reached(from, first.ip);

    const target = await add(0, 'target');
    assert.notEqual(target.ip, first.ip);
    for (const from of [far, near]) assert.ok(lab.pings(from, first.ip), 'beside a migration');
    assert.deepEqual(auditIpam(await items(lab)), []);
  });
});
