// The collector on memory twins: what it frees goes with handle and endpoint, in one transaction.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../test/lab/command.ts';
import { systemClock } from '../../base/clock.io.ts';
import { openLog } from '../../base/log.io.ts';
import { openRegistry } from '../../base/metrics.io.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { auditIpam } from '../../ipam/audit.ts';
import { assignOne, emptyBlock, releaseHandle } from '../../ipam/block.ts';
import { memoryKubernetes } from '../../kubernetes/memory.ts';
import { printIpam } from '../../model/ipam.ts';
import {
  affinityKey,
  blockKey,
  handleKey,
  namespacedKey,
  ROOT,
  resourceKey,
} from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { cidr } from '../../net/cidr.ts';
import { DatastoreMirror } from '../datastore-mirror.io.ts';
import { ipamCollector } from './collector.io.ts';

const RANGE = cidr('10.0.0.0/29');

test('the address of a pod that is gone is freed with its endpoint; others stay', async () => {
  const store = memoryStore();
  const kubernetes = memoryKubernetes();
  const stop = new AbortController();
  const pods = ['gone', 'here'];
  const full = pods.reduce(
    (block, pod) =>
      assignOne(block, {
        handle_id: `net.${pod}`,
        secondary: { node: 'a', pod, namespace: 'default' },
      }).block,
    emptyBlock({ cidr: RANGE, owner: 'host:a', claimedAt: 't', sequenceNumber: 7n }),
  );
  store.put(blockKey(RANGE), printIpam(full));
  store.put(affinityKey('a', RANGE), '{"state":"confirmed","deleted":false}');
  const resource = (kind: string, name: string, spec: object): string =>
    printResource({ kind, apiVersion: API_VERSION, metadata: { name }, spec });
  const orchRefs = [{ orchestrator: 'k8s', nodeName: 'a' }];
  store.put(resourceKey('nodes', 'a'), resource('Node', 'a', { orchRefs }));
  store.put(resourceKey('ippools', 'p'), resource('IPPool', 'p', { cidr: '10.0.0.0/24' }));
  const reservedCIDRs = ['10.0.0.248/29', '10.0.0.0/31', '10.9.0.0/16'];
  store.put(resourceKey('ipreservations', 'r'), resource('IPReservation', 'r', { reservedCIDRs }));
  const endpointKey = (pod: string): string =>
    namespacedKey('workloadendpoints', 'default', `a-k8s-${pod}-eth0`);
  for (const [i, pod] of pods.entries()) {
    store.put(handleKey(`net.${pod}`), printIpam({ block: { [RANGE]: 1 }, deleted: false }));
    const ipNetworks = [`10.0.0.${i}/32`];
    const spec = { node: 'a', pod, endpoint: 'eth0', containerID: pod, ipNetworks };
    store.put(endpointKey(pod), resource('WorkloadEndpoint', `a-k8s-${pod}-eth0`, spec));
  }
  kubernetes.put('nodes', { metadata: { name: 'a' } });
  kubernetes.put('pods', {
    metadata: { name: 'here', namespace: 'default' },
    spec: { nodeName: 'a', containers: [] },
    status: { podIPs: [{ ip: '10.0.0.1' }] },
  });
  const log = openLog('test', 'fatal');
  const mirror = new DatastoreMirror();
  const registry = openRegistry();
  const parts = { store, mirror, clock: systemClock, log, signal: stop.signal, kubernetes };
  const controller = ipamCollector({ ...parts, registry, graceMilliseconds: 600 });
  mirror.follow(store, log, stop.signal);
  try {
    await eventually('freed', async () => !(await store.get(endpointKey('gone'))));
    assert.equal(await store.get(handleKey('net.gone')), undefined);
    const left = (await store.get(blockKey(RANGE)))!.value;
    assert.deepEqual(
      JSON.parse(left).allocations,
      releaseHandle(full, 'net.gone')!.block.allocations,
    );
    assert.ok(await store.get(endpointKey('here')));
    assert.deepEqual(auditIpam((await store.list(ROOT)).items), []);
    assert.equal(controller.problem, undefined);
    const measured = async (): Promise<readonly string[]> =>
      (await registry.metrics())
        .split('\n')
        .filter((line) => line.startsWith('ipam_'))
        .sort();
    const labels = 'ippool="p",node="a"';
    const metrics = await registry.metrics();
    assert.match(metrics, /^calico_ipam_invariant_violations{invariant="I6"} 0$/m);
    await eventually('counted', async () =>
      (await measured()).includes(`ipam_allocations_in_use{${labels}} 1`),
    );
    assert.deepEqual(await measured(), [
      `ipam_allocations_gc_reclamations{${labels}} 1`,
      `ipam_allocations_in_use{${labels}} 1`,
      'ipam_allocations_per_node{node="a"} 1',
      `ipam_blocks_per_node{node="a"} 1`,
      `ipam_blocks{${labels}} 1`,
      'ipam_ippool_free{ippool="p"} 245',
      'ipam_ippool_reserved{ippool="p"} 10',
      'ipam_ippool_size{ippool="p"} 256',
    ]);
  } finally {
    stop.abort();
  }
});

test('a VM’s address stays while KubeVirt has the VM, also without a pod; nobody else’s is asked about', async () => {
  const store = memoryStore();
  const asks = new Map<string, number>();
  const memory = memoryKubernetes();
  memory.machines.add('default/here');
  const kubernetes: typeof memory = {
    ...memory,
    hasMachine: async (namespace, name) => {
      const count = (asks.get(name) ?? 0) + 1;
      asks.set(name, count);
      // It is made anew between the second look and the release.
      return name === 'back' ? count > 2 : memory.hasMachine(namespace, name);
    },
  };
  const stop = new AbortController();
  const attributesOf = (machine: string): Record<string, string> => ({
    ...{ node: 'a', pod: `launcher-${machine}`, namespace: 'default' },
    ...(machine === 'plain' ? {} : { keep: 'true', 'vmi-name': machine }),
  });
  const machines = ['here', 'gone', 'back', 'plain'];
  const block = machines.reduce(
    (made, machine) =>
      assignOne(made, { handle_id: `net.${machine}`, secondary: attributesOf(machine) }).block,
    emptyBlock({ cidr: RANGE, owner: 'host:a', claimedAt: 't', sequenceNumber: 7n }),
  );
  store.put(blockKey(RANGE), printIpam(block));
  store.put(affinityKey('a', RANGE), '{"state":"confirmed","deleted":false}');
  for (const machine of machines)
    store.put(handleKey(`net.${machine}`), printIpam({ block: { [RANGE]: 1 }, deleted: false }));
  memory.put('nodes', { metadata: { name: 'a' } });
  const log = openLog('test', 'fatal');
  const mirror = new DatastoreMirror();
  let times = 0;
  const clock = { ...systemClock, now: () => 300_000 * times++ }; // each look is later than a VM's grace
  const parts = { store, mirror, clock, log, signal: stop.signal, kubernetes };
  const registry = openRegistry();
  const controller = ipamCollector({ ...parts, registry, graceMilliseconds: 600 });
  mirror.follow(store, log, stop.signal);
  try {
    await eventually('freed', async () => !(await store.get(handleKey('net.gone'))), 20_000);
    for (const machine of ['here', 'back']) assert.ok(await store.get(handleKey(`net.${machine}`)));
    assert.deepEqual([...asks.keys()].sort(), ['back', 'gone', 'here']);
    assert.match(await registry.metrics(), /invariant_violations{invariant="I6"} 0$/m);
    assert.equal(controller.problem, undefined);
  } finally {
    stop.abort();
  }
});
