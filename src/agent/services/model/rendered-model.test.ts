import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, WholeObject } from '../../../kubernetes/api.ts';
import { type Ip, ip } from '../../../net/ip.ts';
import { serviceProxySettings } from '../settings.ts';
import { LARGE_ENDPOINTS, RenderedModel } from './rendered-model.ts';

function modelOf(env: Record<string, string> = {}, addresses: readonly Ip[] = []) {
  const settings = serviceProxySettings({
    CALICO_SERVICE_PROXY: 'true',
    CALICO_SERVICE_PROXY_CLUSTER_CIDR: '10.0.0.0/8',
    ...Object.fromEntries(
      Object.entries(env).map(([name, value]) => [`CALICO_SERVICE_PROXY_${name}`, value]),
    ),
  });
  assert.ok(settings.ok && settings.value);
  const own = [...addresses];
  const refused: string[] = [];
  const machine = { addresses: () => own, liberal: false };
  const model = new RenderedModel('n1', settings.value, machine, (service, why) => {
    refused.push(`${service}: ${why}`);
  });
  return { model, own, refused };
}

const service = (name: string, n: number, spec: object = {}): WholeObject =>
  ({
    metadata: { name, namespace: 'default' },
    spec: { type: 'NodePort', clusterIP: `172.30.0.${n}`, ports: [{ port: 80 }], ...spec },
  }) as unknown as WholeObject;

const slice = (of: string, count: number, block = 1, spec: object = {}): WholeObject =>
  ({
    metadata: {
      name: `${of}-1`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': of },
    },
    addressType: 'IPv4',
    endpoints: Array.from({ length: count }, (_, i) => ({
      addresses: [`10.${block}.${i >> 8}.${i & 255}`],
      conditions: { ready: false, serving: false },
      ...spec,
    })),
    ports: [{ port: 8080 }],
  }) as unknown as WholeObject;

const node = (name: string, address: string, more: object = {}): Node =>
  ({
    metadata: { name },
    status: { addresses: [{ type: 'InternalIP', address }] },
    ...more,
  }) as Node;

test('beyond a thousand endpoints rules come without comments; services that stay keep theirs', () => {
  const { model } = modelOf();
  const endpointRules = (block: number): string =>
    [...model.wanted(4).nat.chains]
      .flatMap(([name, rules]) => (name.startsWith('KUBE-SEP-') ? rules : []))
      .filter((rule) => rule.includes(`10.${block}.`))
      .join('\n');
  model.putService(service('a', 1));
  model.putSlice(slice('a', 1, 1, { conditions: { ready: true } }));
  assert.match(endpointRules(1), /comment/);
  model.putService(service('big', 2));
  model.putSlice(slice('big', LARGE_ENDPOINTS - 1, 2));
  model.wanted(4);
  assert.equal(model.isLarge(4), false, 'a thousand is not more than a thousand');
  // The one that makes it large is written so already, whatever came first.
  model.putSlice(slice('big', LARGE_ENDPOINTS, 2, { conditions: { ready: true } }));
  assert.doesNotMatch(endpointRules(2), /comment/);
  assert.equal(model.isLarge(4), true);
  assert.equal(model.isLarge(6), false);
  assert.match(endpointRules(1), /comment/);
  model.removeService('default/big');
  model.putSlice(slice('a', 2, 1, { conditions: { ready: true } }));
  assert.match(endpointRules(1), /comment/);
  assert.equal(model.isLarge(4), false);
});

test('node ports on some addresses: as the machine has them, each family by its own ranges', () => {
  const { model, own } = modelOf({ NODEPORT_ADDRESSES: '192.0.2.0/24' }, [
    ip('192.0.2.1'),
    ip('198.51.100.1'),
    ip('2001:db8::1'),
  ]);
  const places = (family: 4 | 6): string => {
    const rules = model.wanted(family).nat.chains.get('KUBE-SERVICES')!;
    return rules.map((rule) => /(?:! )?-d \S+/.exec(rule)?.[0] ?? '').join();
  };
  assert.equal(places(4), '-d 192.0.2.1');
  assert.equal(places(6), '! -d ::1/128', 'IPv4’s ranges say nothing of IPv6');
  own.push(ip('192.0.2.9'));
  assert.equal(places(4), '-d 192.0.2.1', 'nobody has told');
  assert.equal(model.addressesChanged(), true);
  assert.equal(places(4), '-d 192.0.2.1,-d 192.0.2.9');
  own.push(ip('203.0.113.7'));
  assert.equal(model.addressesChanged(), false);
});

test('loopback addresses are served only where asked for; a range of all is no list', () => {
  const own = [ip('127.0.0.1'), ip('192.0.2.1')];
  const served = (env: Record<string, string>) => modelOf(env, own).model.nodePortAddresses(4);
  const ranges = { NODEPORT_ADDRESSES: '127.0.0.0/8,192.0.2.0/24' };
  assert.deepEqual(served(ranges), [ip('192.0.2.1')]);
  assert.deepEqual(served({ ...ranges, LOCALHOST_NODE_PORTS: 'true' }), own);
  assert.equal(served({ NODEPORT_ADDRESSES: '0.0.0.0/0,192.0.2.0/24' }), undefined);
});

test('no service gets a node’s address, whoever comes first', () => {
  const { model, refused } = modelOf({ EXTERNAL_CIDRS: '192.0.2.0/24' });
  const isServed = (): boolean =>
    model
      .wanted(4)
      .nat.chains.get('KUBE-SERVICES')!
      .some((rule) => rule.includes('192.0.2.7'));
  model.putService(service('a', 1, { externalIPs: ['192.0.2.7'] }));
  model.putSlice(slice('a', 1, 1, { conditions: { ready: true } }));
  assert.equal(isServed(), true);
  model.putNode(node('n2', '192.0.2.7'));
  assert.equal(isServed(), false);
  assert.deepEqual(refused, ['default/a: external address 192.0.2.7 is an address of node n2']);
  model.removeNode('/n2');
  assert.equal(isServed(), true);
});

test('a node that will go is not for load balancers', () => {
  const { model } = modelOf();
  assert.equal(model.isEligible, false, 'not known yet');
  model.putNode(node('n1', '192.0.2.1'));
  assert.equal(model.isEligible, true);
  const taints = [{ key: 'ToBeDeletedByClusterAutoscaler' }];
  model.putNode(node('n1', '192.0.2.1', { spec: { taints } }));
  assert.equal(model.isEligible, false);
  model.putNode(node('n1', '192.0.2.1'));
  model.removeNode('/n1');
  assert.equal(model.isEligible, false);
});

test('ports whose traffic must stay here, where nobody serves them, are counted', () => {
  const { model } = modelOf();
  const local = { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' };
  const ports = [{ port: 80, nodePort: 30_080 }];
  model.putService(service('a', 1, { ...local, ports, externalIPs: [] }));
  model.putSlice(slice('a', 1, 1, { conditions: { ready: true }, nodeName: 'n2' }));
  model.putService(service('b', 2));
  model.wanted(4);
  assert.deepEqual(model.withoutLocalEndpoints(4), { internal: 1, external: 1 });
});

test('what can be served ahead: what changed since the rules were asked for, unless that is much', () => {
  const { model } = modelOf();
  const ahead = () => [...model.ahead(4)].map(([key, forwards]) => [key, forwards.length]);
  model.putService(service('web', 1));
  model.putSlice(slice('web', 2, 1, { conditions: { ready: true } }));
  assert.deepEqual(model.ahead(4).get('default/web'), [
    {
      protocol: 'tcp',
      ip: '172.30.0.1',
      port: 80,
      endpoints: ['10.1.0.0', '10.1.0.1'].map((text) => ({ ip: ip(text), port: 8080 })),
      mark: 0x4000,
      masqueraded: '10.0.0.0/8',
    },
  ]);
  model.wanted(4);
  assert.deepEqual(ahead(), []);
  model.putService(service('sticky', 2, { sessionAffinity: 'ClientIP' }));
  model.putSlice(slice('sticky', 1, 1, { conditions: { ready: true } }));
  model.removeService('default/web');
  assert.deepEqual(ahead(), [
    ['default/sticky', 0],
    ['default/web', 0],
  ]);
  model.wanted(4);
  for (let i = 0; i <= 4; i++) {
    assert.equal(ahead().length, i);
    model.putService(service(`s${i}`, i));
  }
  assert.deepEqual(ahead(), []);
});

test('what changes while rules are written is no fact before they are, and can be served ahead', () => {
  const { model } = modelOf();
  const ready = { conditions: { ready: true } };
  const dns = [{ port: 53, protocol: 'UDP' }];
  const udpSlice = (count: number): WholeObject =>
    ({ ...slice('dns', count, 1, ready), ports: dns }) as unknown as WholeObject;
  model.putService(service('dns', 1, { ports: dns }));
  model.putSlice(udpSlice(2));
  model.wanted(4);
  const before = model.udp();
  model.putSlice(udpSlice(1));
  assert.deepEqual(model.udp(), before, 'flows to the endpoint that went would come back to it');
  model.healthChecks();
  assert.deepEqual([...model.ahead(4).keys()], ['default/dns']);
  model.wanted(4);
  assert.notDeepEqual(model.udp(), before);
});
