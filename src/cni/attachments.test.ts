// What GC may take away: never what is listed, never another network's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { NETWORK_ANNOTATION, staleAttachments } from './attachments.ts';
import { delegateConfig, delegateError, delegateResult } from './delegate.ts';
import { type Attachment, handleSuffix, parseRequest } from './request.ts';

function endpoint(
  attachment: Attachment,
  more: Partial<WorkloadEndpoint['spec']> = {},
  network?: string,
): WorkloadEndpoint {
  return {
    kind: 'WorkloadEndpoint',
    apiVersion: 'projectcalico.org/v3',
    metadata: {
      name: 'x',
      ...(network ? { annotations: { [NETWORK_ANNOTATION]: network } } : {}),
    },
    spec: {
      orchestrator: 'k8s',
      node: 'n1',
      containerID: attachment.containerId,
      endpoint: attachment.ifname,
      ...more,
    },
  };
}
const at = (containerId: string, ifname = 'eth0'): Attachment => ({ containerId, ifname });

test('an unlisted attachment of the network goes, with or without an endpoint', () => {
  const stale = staleAttachments({
    network: 'net',
    valid: [at('c1')],
    endpoints: [endpoint(at('c1')), endpoint(at('c2')), endpoint(at('c1', 'net1'))],
    handles: ['net.c1', 'net.c2', 'net.c1:net1', 'net.c3'],
  });
  assert.deepEqual(
    stale.endpoints.map(({ spec }) => `${spec.containerID}/${spec.endpoint}`),
    ['c2/eth0', 'c1/net1'],
  );
  assert.deepEqual(stale.addresses, [at('c3')]);
});

test('other networks, and what may be another network’s, stay', () => {
  const facts = {
    network: 'net',
    valid: [],
    endpoints: [
      endpoint(at('c1')), // its handle is another network's
      endpoint(at('c2'), {}, 'other'),
      endpoint(at('c3'), { orchestrator: 'cni', profiles: ['other'] }),
    ],
    handles: ['other.c1', 'net.work.c9', 'ipip-tunnel-addr-n1'],
  };
  assert.deepEqual(staleAttachments(facts), { endpoints: [], addresses: [] });
});

test('endpoints whose addresses are outside Calico’s IPAM are known by their network', () => {
  const stale = staleAttachments({
    network: 'net',
    valid: [],
    endpoints: [
      endpoint(at('c1'), {}, 'net'),
      endpoint(at('c2'), { orchestrator: 'cni', profiles: ['net'] }),
    ],
    handles: [],
  });
  assert.equal(stale.endpoints.length, 2);
});

test('what is listed is never stale', () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,5}$/);
  const attachment = fc.record({ containerId: name, ifname: fc.constantFrom('eth0', 'net1') });
  fc.assert(
    fc.property(name, fc.array(attachment), fc.array(attachment), (network, valid, others) => {
      const all = [...valid, ...others];
      const stale = staleAttachments({
        network,
        valid,
        endpoints: all.map((one) => endpoint(one)),
        handles: all.map((one) => `${network}${handleSuffix(one)}`),
      });
      const gone = [
        ...stale.endpoints.map((e) => `${e.spec.containerID}/${e.spec.endpoint}`),
        ...stale.addresses.map((a) => `${a.containerId}/${a.ifname}`),
      ];
      for (const one of valid) assert.ok(!gone.includes(`${one.containerId}/${one.ifname}`));
    }),
  );
});

function delegating(ipam: object) {
  const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/ns', CNI_IFNAME: 'eth0' };
  const parsed = parseRequest(env, JSON.stringify({ name: 'n', cniVersion: '1.0.0', ipam }));
  assert.ok(parsed.ok);
  return parsed.value;
}

test('usePodCidr becomes the node’s own range, in the section and in its ranges', () => {
  const ipam = {
    type: 'host-local',
    subnet: 'usePodCidr',
    ranges: [[{ subnet: 'usePodCidr' }], [{ subnet: 'usePodCidrIPv6' }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const config = delegateConfig(delegating(ipam), ['10.244.1.0/24', 'fd00:1::/64']);
  assert.ok(config.ok);
  assert.deepEqual(JSON.parse(config.value).ipam, {
    type: 'host-local',
    subnet: '10.244.1.0/24',
    ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:1::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }],
  });
  const none = delegateConfig(delegating(ipam), []);
  assert.match(none.ok ? '' : none.error.msg, /usePodCidr: this node has no such podCIDR/);
});

test('another IPAM plugin’s failure keeps its code and names it', () => {
  const error = delegateError('host-local', '{"code":11,"msg":"later"}', '');
  assert.deepEqual([error.code, error.msg], [11, 'IPAM plugin host-local: later']);
  assert.match(delegateError('x', 'panic', 'stack').msg, /IPAM plugin x: stack/);
  const empty = delegateResult('x', '{"ips":[]}');
  assert.match(empty.ok ? '' : empty.error.msg, /has no address/);
  assert.ok(delegateResult('x', '{"ip4":{"ip":"10.0.0.2/24"}}').ok);
});
