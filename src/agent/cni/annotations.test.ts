// What a pod's and its namespace's annotations make of an ADD, on the memory twins.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { strictProblems } from '../../../test/golden/strict-types.ts';
import { OpError } from '../../base/op-error.ts';
import { type CniRequest, stableHandleOf } from '../../cni/request.ts';
import { addPool } from '../../ipam/allocator.cases.ts';
import { openAllocator } from '../../ipam/allocator.io.ts';
import type { Kernel, LinkChange } from '../../kernel/kernel.ts';
import type { Pod } from '../../kubernetes/api.ts';
import { memoryKubernetes } from '../../kubernetes/memory.ts';
import { IPAM_CONFIG_KEY, namespacedKey, resourceKey, resourcePrefix } from '../../model/keys.ts';
import { API_VERSION, parseResource, printResource } from '../../model/resource.ts';
import type { WorkloadEndpointSpec } from '../../model/workload-endpoint.ts';
import { DatastoreView } from '../view.ts';
import { addPod } from './add/add.io.ts';
import { deletePod } from './del/del.io.ts';
import { memoryNode, request } from './memory-node.cases.ts';

const CALICO = 'cni.projectcalico.org/';

interface Given {
  readonly pod?: Readonly<Record<string, string>>;
  readonly namespace?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly config?: object;
}

/** A node whose Kubernetes has the pod of `request`. */
async function given({ pod = {}, namespace = {}, labels = {} }: Given) {
  const kubernetes = memoryKubernetes();
  const web: Pod = {
    metadata: { name: 'web-0', namespace: 'default', annotations: pod, labels },
    spec: { nodeName: 'n1', containers: [] },
  };
  kubernetes.put('pods', web);
  kubernetes.put('namespaces', { metadata: { name: 'default', annotations: namespace } });
  return { ...(await memoryNode({ kubernetes })), kubernetes };
}
type Node = Awaited<ReturnType<typeof given>>;

async function specOf(n: Node): Promise<WorkloadEndpointSpec> {
  const { items } = await n.memory.list(resourcePrefix('workloadendpoints'));
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
    'WorkloadEndpoint',
    items[0]?.value ?? '',
  );
  assert.ok(parsed.ok);
  assert.deepEqual(strictProblems(items), []);
  return parsed.value.spec;
}

/** The endpoint that ADD stored. */
async function added(facts: Given): Promise<WorkloadEndpointSpec> {
  const n = await given(facts);
  const outcome = await addPod(n.context, request('ADD', 'c1', 'calico', facts.config));
  assert.ok(outcome.ok, JSON.stringify(outcome));
  const spec = await specOf(n);
  n.done();
  return spec;
}

test('ipAddrs: this address, through IPAM; taken by another it is refused', async () => {
  const pod = { [`${CALICO}ipAddrs`]: '["192.168.0.77"]' };
  assert.deepEqual((await added({ pod })).ipNetworks, ['192.168.0.77/32']);
  const n = await given({ pod });
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.deepEqual(n.allocator.addressesOf('k8s-pod-network.c1'), ['192.168.0.77']);
  const other = await addPod(n.context, request('ADD', 'c2'));
  assert.equal(other.ok ? 0 : other.error.code, 102);
  n.done();
});

test('ipAddrsNoIpam: no record of the address, and only where the configuration opens it', async () => {
  const pod = { [`${CALICO}ipAddrsNoIpam`]: '["10.9.0.1"]' };
  const config = { feature_control: { ip_addrs_no_ipam: true } };
  const n = await given({ pod });
  const closed = await addPod(n.context, request('ADD', 'c1'));
  assert.equal(closed.ok ? 0 : closed.error.code, 103);
  assert.deepEqual([n.veths().length, await n.endpoints()], [0, 0]);
  assert.ok((await addPod(n.context, request('ADD', 'c1', 'calico', config))).ok);
  assert.deepEqual((await specOf(n)).ipNetworks, ['10.9.0.1/32']);
  assert.equal(n.allocator.handles().size, 0);
  assert.ok((await deletePod(n.context, request('DEL', 'c1', 'calico', config))).ok);
  assert.equal(await n.endpoints(), 0);
  n.done();
});

test('pools by the namespace, over them the pod’s', async () => {
  const namespace = { [`${CALICO}ipv4pools`]: '["second"]' };
  const pod = { [`${CALICO}ipv4pools`]: '["default-ipv4-ippool"]' };
  const cases: [Given, string][] = [
    [{ namespace }, '10.5.'],
    [{ namespace, pod }, '192.168.'],
  ];
  for (const [facts, start] of cases) {
    const n = await given(facts);
    await addPool(n.memory, '10.5.0.0/24', {}, 'second');
    while (n.allocator.shortage(4, ['second'])) await setImmediate(); // until the watch has told
    assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
    const [network] = (await specOf(n)).ipNetworks ?? [];
    assert.ok(network?.startsWith(start), network);
    n.done();
  }
});

test('hwAddr: the pod’s MAC', async () => {
  const spec = await added({ pod: { [`${CALICO}hwAddr`]: '1a:2b:3c:4d:5e:6f' } });
  assert.equal(spec.mac, '1a:2b:3c:4d:5e:6f');
});

test('floatingIPs: ADD fails while the feature is off; on, they stand in the endpoint', async () => {
  const pod = { [`${CALICO}floatingIPs`]: '["192.168.0.250"]' };
  const n = await given({ pod });
  const closed = await addPod(n.context, request('ADD', 'c1'));
  assert.equal(closed.ok ? 0 : closed.error.code, 103);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 0]);
  n.done();
  const spec = await added({ pod, config: { feature_control: { floating_ips: true } } });
  const internalIP = spec.ipNetworks![0]!.replace('/32', '');
  assert.deepEqual(spec.ipNATs, [{ internalIP, externalIP: '192.168.0.250' }]);
});

test('floatingIPs: one that lies in no pool could be anybody’s, and is refused by name', async () => {
  const n = await given({ pod: { [`${CALICO}floatingIPs`]: '["10.96.0.1"]' } });
  const features = { feature_control: { floating_ips: true } };
  const refused = await addPod(n.context, request('ADD', 'c1', 'calico', features));
  assert.equal(refused.ok ? 0 : refused.error.code, 7);
  assert.match(refused.ok ? '' : refused.error.msg, /floatingIPs: 10\.96\.0\.1 lies in no pool/);
  assert.deepEqual([n.veths().length, await n.endpoints()], [0, 0]);
  n.done();
});

test('allowedSourcePrefixes: only where FelixConfiguration lets pods ask for it', async () => {
  const pod = { [`${CALICO}allowedSourcePrefixes`]: '["10.9.0.0/16"]' };
  const n = await given({ pod });
  const strict = (): string => {
    const [device] = n.veths();
    return n.kernel.getSysctl(`ipv4/conf/${device}/rp_filter`);
  };
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.equal((await specOf(n)).allowSpoofedSourcePrefixes, undefined);
  assert.equal(strict(), '1');
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  const value = printResource({
    kind: 'FelixConfiguration',
    apiVersion: API_VERSION,
    metadata: { name: 'default' },
    spec: { workloadSourceSpoofing: 'Any' },
  });
  const key = resourceKey('felixconfigurations', 'default');
  n.context.view.put({ key, value, revision: 1n });
  assert.ok((await addPod(n.context, request('ADD', 'c2'))).ok);
  assert.deepEqual((await specOf(n)).allowSpoofedSourcePrefixes, ['10.9.0.0/16']);
  assert.equal(strict(), '0', 'the kernel’s own check knows of no prefixes');
  n.done();
});

const QOS = 'qos.projectcalico.org/';

test('qos: limits stand in the endpoint as Calico writes them; a bad one fails ADD by name', async () => {
  const pod = {
    [`${QOS}ingressBandwidth`]: '10M',
    [`${QOS}egressPacketRate`]: '100',
    [`${QOS}dscp`]: 'AF21',
  };
  assert.deepEqual((await added({ pod })).qosControls, {
    ingressBandwidth: 10_000_000,
    ingressBurst: 4_294_967_296,
    egressPacketRate: 100,
    egressPacketBurst: 5,
    dscp: 'AF21',
  });
  assert.equal((await added({})).qosControls, undefined);
  const n = await given({ pod: { [`${QOS}ingressBandwidth`]: 'much' } });
  const refused = await addPod(n.context, request('ADD', 'c1'));
  assert.equal(refused.ok ? 0 : refused.error.code, 7);
  assert.match(refused.ok ? '' : refused.error.msg, /qos\.projectcalico\.org\/ingressBandwidth/);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 0]);
  n.done();
});

test('qos: a kernel without token buckets: the pod does not run without its limit, nothing is left', async () => {
  const n = await given({ pod: { [`${QOS}egressBandwidth`]: '10M' } });
  const error = new OpError('limit the rate of link 2', 'no such file (errno 2)', 2);
  const enter = (path: string) =>
    Object.assign(Object.create(n.kernel.enter(path)) as Kernel, {
      applyEach: (changes: readonly LinkChange[]) => changes.map((_, index) => ({ index, error })),
    });
  const kernel = Object.assign(Object.create(n.kernel) as Kernel, { enter });
  const outcome = await addPod({ ...n.context, kernel }, request('ADD', 'c1'));
  assert.equal(outcome.ok ? 0 : outcome.error.code, 11);
  assert.match(outcome.ok ? '' : outcome.error.msg, /limit bandwidth: sch_tbf cannot be used/);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 0]);
  n.done();
});

test('the environment has the last word on source spoofing, as in Felix', () => {
  const stored = (word: string, name = 'default') => ({
    key: resourceKey('felixconfigurations', name),
    value: printResource({
      kind: 'FelixConfiguration',
      apiVersion: API_VERSION,
      metadata: { name },
      spec: { workloadSourceSpoofing: word },
    }),
    revision: 1n,
  });
  for (const [environment, node, cluster, allowed] of [
    [undefined, undefined, 'Any', true],
    [undefined, 'Disabled', 'Any', false],
    [false, 'Any', 'Any', false],
    [true, 'Disabled', 'Disabled', true],
    [undefined, undefined, undefined, false],
  ] as const) {
    const view = new DatastoreView('n1', environment);
    if (node) view.put(stored(node, 'node.n1'));
    if (cluster) view.put(stored(cluster));
    assert.equal(view.sourceSpoofingAllowed, allowed);
  }
});

test('stable-address: a StatefulSet’s ordinal gets its address again; other pods are not meant', async () => {
  const pod = { 'calico-kit.io/stable-address': 'true' };
  const labels = { 'statefulset.kubernetes.io/pod-name': 'web-0' };
  const n = await given({ pod, labels });
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const first = (await specOf(n)).ipNetworks;
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(await n.endpoints(), 0);
  assert.ok((await addPod(n.context, request('ADD', 'c2'))).ok);
  assert.deepEqual((await specOf(n)).ipNetworks, first);
  assert.equal(n.allocator.addressesOf('k8s-pod-network.default:web-0').length, 1);
  n.done();
  const plain = await given({ pod });
  assert.ok((await addPod(plain.context, request('ADD', 'c1'))).ok);
  assert.deepEqual(plain.allocator.addressesOf('k8s-pod-network.default:web-0'), []);
  plain.done();
});

test('stable-address: it comes from another node with its endpoint, and is no other pod’s', async () => {
  const pod = { 'calico-kit.io/stable-address': 'true' };
  const labels = { 'statefulset.kubernetes.io/pod-name': 'web-0' };
  const n = await given({ pod, labels });
  const former = openAllocator({ store: n.memory, node: 'n0', clock: n.context.clock });
  await former.ready();
  const name = (node: string) => `${node}-k8s-web--0-eth0`;
  const keyOn = (node: string) => namespacedKey('workloadendpoints', 'default', name(node));
  const there = await former.assign({
    handleId: stableHandleOf(request('ADD', 'c0'))!,
    attributes: { node: 'n0', namespace: 'default', pod: 'web-0' },
    keep: true,
    count4: 1,
    count6: 0,
    alongside: (ips) => {
      const spec = { node: 'n0', pod: 'web-0', ipNetworks: [`${ips[0]}/32`] };
      const metadata = { name: name('n0') };
      const value = JSON.stringify({ kind: 'WorkloadEndpoint', metadata, spec });
      return { compares: [], writes: [{ kind: 'put', key: keyOn('n0'), value }] };
    },
  });
  assert.ok(there.kind === 'assigned');
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.deepEqual((await specOf(n)).ipNetworks, [`${there.ips[0]}/32`]);
  assert.equal(await n.memory.get(keyOn('n0')), undefined);
  assert.ok(await n.memory.get(keyOn('n1')));
  former.close();
  n.done();
  const handleOf = (namespace: string, name: string) =>
    stableHandleOf({ ...request('ADD', 'c1'), pod: { namespace, name } as never });
  assert.notEqual(handleOf('a-b', 'c-0'), handleOf('a', 'b-c-0'));
});

const LAUNCHER = { 'kubevirt.io': 'virt-launcher', 'vm.kubevirt.io/name': 'db' };

test('KubeVirt: a VM’s next pod has its address, beside the former one; a migration’s target has its own', async () => {
  const n = await given({ labels: LAUNCHER });
  const pod = (name: string, labels: object = {}, phase = 'Running'): void =>
    n.kubernetes.put('pods', {
      metadata: { name, namespace: 'default', labels: { ...LAUNCHER, ...labels } },
      spec: { nodeName: 'n1', containers: [] },
      status: { phase },
    });
  const call = (command: string, container: string, name: string): CniRequest => {
    const { pod, ...rest } = request(command, container);
    return { ...rest, pod: { ...pod!, name } };
  };
  const shown = async () => {
    const { items } = await n.memory.list(resourcePrefix('workloadendpoints'));
    return items.map(({ value }) => {
      const { spec } = JSON.parse(value) as { spec: WorkloadEndpointSpec };
      return `${spec.pod} ${spec.ipNetworks}`;
    });
  };
  const routed = (ip: string): string | undefined => {
    const index = n.context.kernel.routes().find((one) => one.destination === ip)?.linkIndex;
    return n.context.kernel.links().find((link) => link.index === index)?.name;
  };
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const [net] = (await specOf(n)).ipNetworks as [string];
  const before = routed(net);
  assert.ok(before);
  pod('web-0', {}, 'Succeeded');
  pod('web-1');
  pod('web-2', { 'kubevirt.io/migrationJobUID': 'm' });
  assert.ok((await addPod(n.context, call('ADD', 'c2', 'web-1'))).ok);
  assert.deepEqual(await shown(), [`web-1 ${net}`]);
  const after = routed(net);
  assert.ok(after && after !== before);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(routed(net), after, 'the former pod’s DEL leaves the route');
  assert.ok((await addPod(n.context, call('ADD', 'a.b', 'web-2'))).ok);
  const both = await shown();
  assert.equal(both.length, 2);
  assert.ok(!both.includes(`web-2 ${net}`));
  assert.deepEqual(n.allocator.addressesOf('k8s-pod-network.vmi.default.db'), [net.split('/')[0]]);
  assert.ok((await deletePod(n.context, call('DEL', 'a.b', 'web-2'))).ok);
  pod('web-3');
  assert.ok((await addPod(n.context, call('ADD', 'c1', 'web-3'))).ok);
  const third = await shown();
  assert.ok(third.includes(`web-1 ${net}`), 'the VM’s pod runs: another one gets another address');
  assert.equal(third.length, 2);
  n.done();
});

test('KubeVirt: with the persistence disabled a VM’s pods are like any other', async () => {
  const n = await given({ labels: LAUNCHER });
  n.memory.put(
    IPAM_CONFIG_KEY,
    '{"auto_allocate_blocks":true,"kubeVirtVMAddressPersistence":"Disabled"}',
  );
  while (n.allocator.keepsMachines()) await setImmediate();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.deepEqual(n.allocator.addressesOf('k8s-pod-network.vmi.default.db'), []);
  assert.equal(n.allocator.addressesOf('k8s-pod-network.c1').length, 1);
  n.done();
});
