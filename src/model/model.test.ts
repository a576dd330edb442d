import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidr } from '../net/cidr.ts';
import { parseBlock, printIpam } from './ipam.ts';
import { affinityKey, blockKey, handleKey, namespacedKey, parseKey, resourceKey } from './keys.ts';
import { parseResource, printResource } from './resource.ts';
import { parseWorkloadEndpointName, workloadEndpointName } from './workload-endpoint.ts';

test('keys: path <-> meaning', () => {
  const block = cidr('192.168.203.0/26');
  const pairs = [
    [
      resourceKey('ippools', 'default-ipv4-ippool'),
      { kind: 'resource', plural: 'ippools', name: 'default-ipv4-ippool' },
    ],
    [
      namespacedKey('workloadendpoints', 'default', 'x'),
      { kind: 'namespaced', plural: 'workloadendpoints', namespace: 'default', name: 'x' },
    ],
    [blockKey(block), { kind: 'block', cidr: block }],
    [affinityKey('k8sn1', block), { kind: 'affinity', owner: 'host', node: 'k8sn1', cidr: block }],
    [blockKey(cidr('fd00::/122')), { kind: 'block', cidr: 'fd00::/122' }],
    [handleKey('k8s-pod-network.abc'), { kind: 'handle', id: 'k8s-pod-network.abc' }],
    ['/calico/ipam/v2/config', { kind: 'ipamConfig' }],
  ] as const;
  for (const [key, meaning] of pairs) assert.deepEqual(parseKey(key), meaning, key);
  assert.equal(blockKey(block), '/calico/ipam/v2/assignment/ipv4/block/192.168.203.0-26');
  assert.equal(parseKey('/calico/felix/v2/no-region/host/n/status'), undefined);
});

test('WorkloadEndpoint names double the dashes of each part', () => {
  const id = { node: 'k8sn1', orchestrator: 'k8s', workload: 'nginx-6f7-abc', endpoint: 'eth0' };
  assert.equal(workloadEndpointName(id), 'k8sn1-k8s-nginx--6f7--abc-eth0');
  assert.deepEqual(parseWorkloadEndpointName('k8sn1-k8s-nginx--6f7--abc-eth0'), id);
});

test('resources keep unknown fields', () => {
  const text =
    '{"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"p"},"spec":{"cidr":"10.0.0.0/8","new":1}}';
  const parsed = parseResource('IPPool', text);
  assert.ok(parsed.ok);
  assert.equal(printResource(parsed.value as never), text);
  assert.ok(!parseResource('IPPool', '{"kind":"Node"}').ok);
});

test('blocks keep 64-bit sequence numbers', () => {
  const text =
    '{"cidr":"10.0.0.0/31","affinity":"host:a","allocations":[0,null],"unallocated":[1],"attributes":[{}],"sequenceNumber":1790000000000000002,"sequenceNumberForAllocation":{"0":1790000000000000000},"deleted":false}';
  const parsed = parseBlock(text);
  assert.ok(parsed.ok);
  assert.equal(printIpam(parsed.value), text);
});
