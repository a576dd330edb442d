import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicy } from '../kubernetes/api.ts';
import { parseSelector } from '../model/selector/parse.ts';
import { convertNetworkPolicy } from '../policy/kubernetes/convert-network-policy.ts';
import { calicoPolicy } from './wanted.ts';

const policy = (spec: object): NetworkPolicy =>
  ({ metadata: { name: 'web', namespace: 'default' }, spec }) as NetworkPolicy;
const K8S = "projectcalico.org/orchestrator == 'k8s'";

test('the recorded policy: selectors, namespaces, ipBlock, named ports, egress', () => {
  const { wanted } = calicoPolicy(
    policy({
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        {
          from: [
            { podSelector: { matchLabels: { app: 'client' } } },
            { podSelector: {}, namespaceSelector: { matchLabels: { team: 'red' } } },
            { ipBlock: { cidr: '172.16.0.0/12', except: ['172.16.5.0/24'] } },
          ],
          ports: [{ port: 80 }, { port: 'http' }],
        },
      ],
      egress: [{ ports: [{ protocol: 'UDP', port: 53 }] }],
    }),
  );
  const ports = [80, 'http'];
  assert.equal(
    wanted.key,
    '/calico/resources/v3/projectcalico.org/networkpolicies/default/knp.default.web',
  );
  assert.deepEqual(wanted.spec, {
    tier: 'default',
    order: 1000,
    selector: `${K8S} && app == 'web'`,
    types: ['Ingress', 'Egress'],
    ingress: [
      {
        action: 'Allow',
        protocol: 'TCP',
        source: { selector: `${K8S} && app == 'client'` },
        destination: { ports },
      },
      {
        action: 'Allow',
        protocol: 'TCP',
        source: { selector: K8S, namespaceSelector: "team == 'red'" },
        destination: { ports },
      },
      {
        action: 'Allow',
        protocol: 'TCP',
        source: { nets: ['172.16.0.0/12'], notNets: ['172.16.5.0/24'] },
        destination: { ports },
      },
    ],
    egress: [{ action: 'Allow', protocol: 'UDP', source: {}, destination: { ports: [53] } }],
  });
});

test('default deny: types and no rules', () => {
  assert.deepEqual(
    convertNetworkPolicy(policy({ podSelector: {}, policyTypes: ['Ingress'] })).spec,
    {
      tier: 'default',
      order: 1000,
      selector: K8S,
      types: ['Ingress'],
    },
  );
});

test('parts of a policy', () => {
  const rules = (ingress: object) =>
    convertNetworkPolicy(policy({ podSelector: {}, ingress: [ingress] }));
  const cases: [object, object[]][] = [
    [{}, [{ action: 'Allow', source: {}, destination: {} }]],
    [{ from: [] }, [{ action: 'Allow', source: {}, destination: {} }]],
    [
      { from: [{ namespaceSelector: {} }] },
      [{ action: 'Allow', source: { selector: K8S, namespaceSelector: 'all()' }, destination: {} }],
    ],
    [
      { ports: [{ port: 80 }, { port: 81 }, { port: 90, endPort: 95 }] },
      [
        {
          action: 'Allow',
          protocol: 'TCP',
          source: {},
          destination: { ports: ['80:81', '90:95'] },
        },
      ],
    ],
    [
      { ports: [{ protocol: 'UDP' }] },
      [{ action: 'Allow', protocol: 'UDP', source: {}, destination: {} }],
    ],
    [
      { ports: [{ port: 53, protocol: 'UDP' }, { port: 53 }] },
      [
        { action: 'Allow', protocol: 'TCP', source: {}, destination: { ports: [53] } },
        { action: 'Allow', protocol: 'UDP', source: {}, destination: { ports: [53] } },
      ],
    ],
  ];
  for (const [ingress, expected] of cases) assert.deepEqual(rules(ingress).spec.ingress, expected);
});

test('expressions', () => {
  const matchExpressions = [
    { key: 'a', operator: 'In', values: ['x', 'y'] },
    { key: 'b', operator: 'NotIn', values: ['z'] },
    { key: 'c', operator: 'Exists' },
    { key: 'd', operator: 'DoesNotExist' },
  ];
  const { spec } = convertNetworkPolicy(
    policy({ podSelector: { matchLabels: { z: '1', k: '2' }, matchExpressions } }),
  );
  assert.equal(
    spec.selector,
    `${K8S} && k == '2' && z == '1' && a in { 'x', 'y' } && b not in { 'z' } && has(c) && ! has(d)`,
  );
});

test('a rule that cannot be converted is left out and reported', () => {
  const { spec, problems } = convertNetworkPolicy(
    policy({ podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: 'x' } }] }, {}] }),
  );
  assert.equal(spec.ingress?.length, 1);
  assert.deepEqual(problems, ['ipBlock x is no CIDR']);
});

test('a podSelector that cannot be read closes and allows nothing', () => {
  const { spec, problems } = convertNetworkPolicy(
    policy({
      podSelector: { matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] },
      ingress: [{}],
    }),
  );
  assert.deepEqual(problems, ['podSelector: operator Gt of label a is unknown']);
  assert.deepEqual([spec.selector, spec.types, spec.ingress], [K8S, ['Ingress'], undefined]);
});

test('no policy types mean Ingress, in every form', () => {
  for (const types of [{}, { policyTypes: [] }])
    assert.deepEqual(convertNetworkPolicy(policy({ podSelector: {}, ...types })).spec.types, [
      'Ingress',
    ]);
});

test('host bits of an ipBlock are cleared', () => {
  const ipBlock = { cidr: '10.1.2.3/8', except: ['10.2.3.4/16'] };
  const { spec } = convertNetworkPolicy(
    policy({ podSelector: {}, ingress: [{ from: [{ ipBlock }] }] }),
  );
  assert.deepEqual(spec.ingress?.[0]?.source, { nets: ['10.0.0.0/8'], notNets: ['10.2.0.0/16'] });
});

test('a range that is none is left out with its rule', () => {
  for (const port of [
    { port: 80, endPort: 70 },
    { port: 'http', endPort: 90 },
  ]) {
    const { spec, problems } = convertNetworkPolicy(
      policy({ podSelector: {}, ingress: [{ ports: [port] }, { ports: [{ port: 1 }] }] }),
    );
    assert.equal(problems.length, 1);
    assert.equal(spec.ingress?.length, 1);
  }
});

test('every selector that comes out is one that the policy engine reads', () => {
  const { spec } = convertNetworkPolicy(
    policy({
      podSelector: {
        matchLabels: { 'app.kubernetes.io/name': 'x', empty: '' },
        matchExpressions: [
          { key: 'a/b-c.d_e', operator: 'In', values: ['1', 'z'] },
          { key: 'k', operator: 'NotIn', values: ['q'] },
          { key: 'k', operator: 'Exists' },
          { key: 'k', operator: 'DoesNotExist' },
        ],
      },
    }),
  );
  assert.ok(parseSelector(spec.selector ?? '?').ok, spec.selector);
});
