// Rules that name a Kubernetes Service: what is read, the rule's text, the sets and their members.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rule } from '../model/policy.ts';
import { PolicyCalculator } from './calculate.ts';
import { storedSlice } from './kubernetes/convert-endpoint-slice.ts';
import { namedServices } from './read/named-services.ts';
import { parseRules } from './read/parsed-rule.ts';
import { serviceSetId, setName } from './render/names.ts';
import { renderRule } from './render/rule-render.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const web = { name: 'web', namespace: 'shop' };
const stored = (kind: string, spec: object, metadata: object = {}): string =>
  JSON.stringify({ kind, metadata: { name: 'x', ...metadata }, spec });

function textOf(rule: Rule): string {
  const { rules, problems } = parseRules([rule], 'shop');
  assert.deepEqual(problems, []);
  return renderRule(rules[0]!, 4)[0]!.match;
}

test('a destination is matched with its port, a source without', () => {
  const pair = setName(4, serviceSetId('shop/web', true));
  const net = setName(4, serviceSetId('shop/web', false));
  assert.match(pair, /^cali40svc:/);
  assert.match(net, /^cali40svcnoport:/);
  const set = '-m set --match-set';
  assert.equal(
    textOf({ action: 'Allow', destination: { services: web } }),
    `${set} ${pair} dst,dst`,
  );
  assert.equal(
    textOf({ action: 'Allow', protocol: 'TCP', destination: { services: { name: 'web' } } }),
    `-p tcp ${set} ${pair} dst,dst`,
  );
  assert.equal(textOf({ action: 'Allow', source: { services: web } }), `${set} ${net} src`);
});

test('what cannot be meant is closed and named', () => {
  const cases: [Rule, string | undefined, RegExp][] = [
    [{ action: 'Allow', destination: { services: { name: 'web' } } }, undefined, /namespace/],
    [{ action: 'Allow', destination: { services: { namespace: 'x' } } }, 'x', /no name/],
    [{ action: 'Allow', destination: { services: web, ports: [80] } }, 'x', /with ports/],
    [{ action: 'Allow', source: { services: web, selector: 'all()' } }, 'x', /with selector/],
    [{ action: 'Allow', source: { services: web, nets: ['::/0'] } }, 'x', /with nets/],
  ];
  for (const [rule, namespace, words] of cases) {
    const { rules, problems } = parseRules([rule], namespace);
    assert.deepEqual(rules, []);
    assert.match(problems[0] ?? '', words);
  }
});

test('members follow the endpoints, of all slices of the service and in each family', () => {
  const one = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });
  const members = (family: 4 | 6, ports: boolean): readonly string[] => {
    const name = setName(family, serviceSetId('shop/web', ports));
    return [...(one.of(family).desired().ipSets.get(name)?.members ?? ['no set'])].sort();
  };
  const slice = (name: string, addresses: string[], ports: object[], service = 'web'): boolean =>
    one.put(
      `${ROOT}kubernetesendpointslices/shop/${name}`,
      stored('KubernetesEndpointSlice', { service, addresses, ports }),
    );
  one.put(
    `${ROOT}workloadendpoints/shop/node1-k8s-a-eth0`,
    stored('WorkloadEndpoint', {
      node: 'node1',
      interfaceName: 'cali1',
      ipNetworks: ['10.0.0.9/32', 'fd00::9/128'],
    }),
  );
  const tcp = (port: number) => ({ protocol: 'TCP', port });
  slice('s1', ['10.0.0.1'], [tcp(80), { protocol: 'UDP', port: 53 }]);
  slice('other', ['10.0.0.7'], [tcp(80)], 'db');
  const egress = [{ action: 'Allow', destination: { services: web } }];
  const ingress = [{ action: 'Allow', source: { services: web } }];
  one.put(
    `${ROOT}globalnetworkpolicies/g`,
    stored('GlobalNetworkPolicy', { selector: 'all()', ingress, egress }),
  );
  assert.deepEqual(members(4, true), ['10.0.0.1,tcp:80', '10.0.0.1,udp:53']);
  assert.deepEqual(members(4, false), ['10.0.0.1']);
  slice('s2', ['10.0.0.1', '10.0.0.2'], [tcp(8080)]);
  slice('s3', ['fd00::1'], [tcp(80)]);
  assert.deepEqual(members(4, false), ['10.0.0.1', '10.0.0.2']);
  assert.deepEqual(members(6, true), ['fd00::1,tcp:80']);
  one.remove(`${ROOT}kubernetesendpointslices/shop/s1`);
  assert.deepEqual(members(4, true), ['10.0.0.1,tcp:8080', '10.0.0.2,tcp:8080']);
  slice('s2', [], []);
  assert.deepEqual(members(4, true), []);
});

test('a slice as it is stored; which services a policy names', () => {
  const labels = { 'kubernetes.io/service-name': 'web' };
  const metadata = { name: 'web-1', namespace: 'shop', labels };
  const ports = [{ port: 80 }, { protocol: 'SCTP', port: 9 }, { protocol: 'UDP' }];
  const endpoints = [
    { addresses: ['10.0.0.2'], conditions: { ready: false } },
    { addresses: ['10.0.0.1'] },
  ];
  const value = storedSlice({ metadata, addressType: 'IPv4', endpoints, ports });
  assert.deepEqual(value?.spec, {
    service: 'web',
    addresses: ['10.0.0.1', '10.0.0.2'],
    ports: [
      { protocol: 'TCP', port: 80 },
      { protocol: 'SCTP', port: 9 },
    ],
  });
  assert.equal(storedSlice({ metadata, addressType: 'FQDN' }), undefined);
  assert.equal(storedSlice({ metadata: { name: 'x' }, addressType: 'IPv4' }), undefined);
  const ingress = [{ action: 'Allow', source: { services: web } }];
  const egress = [{ action: 'Allow', destination: { services: { name: 'db' } } }];
  const key = `${ROOT}networkpolicies/shop/p`;
  const policy = stored('NetworkPolicy', { ingress, egress });
  assert.deepEqual([...namedServices(key, policy)].sort(), ['shop/db', 'shop/web']);
  assert.deepEqual([...namedServices(key, '')], []);
});
