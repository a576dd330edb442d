// The engine's own view and the evaluator on the whole datastore answer alike, in random worlds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip } from '../../net/ip.ts';
import { PolicyCalculator } from '../calculate.ts';
import { evaluate } from '../explain/evaluate.ts';
import { PolicyModel } from '../explain/model.ts';
import { operation, outcomeOf } from '../world.cases.ts';
import { ChangedEndpoints, denierOf } from './denied-now.ts';
import { liveModel } from './live-model.ts';

const calculatorOf = () =>
  new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });

test('the live model answers as the whole one does', () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 12 }),
      fc.constantFrom('tcp', 'udp', 'icmp'),
      fc.integer({ min: 79, max: 82 }),
      (operations, protocol, port) => {
        const calculator = calculatorOf();
        const model = new PolicyModel();
        for (const [key, value] of outcomeOf(operations)) {
          calculator.put(key, value);
          model.put(key, value);
        }
        calculator.of(4).desired();
        const { facts } = calculator;
        const live = liveModel(facts);
        const addresses = [
          '10.1.0.9',
          ...[...facts.world.endpoints.values()].flatMap((e) => e.members),
        ]
          .filter((member) => /^[\d.]+$/.test(member))
          .map(ip);
        for (const endpoint of facts.world.endpoints.values()) {
          if (endpoint.node !== 'node1') continue;
          for (const source of addresses)
            for (const direction of ['ingress', 'egress'] as const) {
              const packet = {
                source,
                destination: addresses[0]!,
                protocol,
                ...(protocol === 'icmp' ? {} : { sourcePort: 1, destinationPort: port }),
              };
              const whole = [...model.endpoints].find(
                ([key]) => facts.world.endpoints.get(key) === endpoint,
              );
              const { verdict } = evaluate(model, whole![1], direction, packet);
              assert.equal(evaluate(live, endpoint, direction, packet).verdict, verdict);
            }
        }
      },
    ),
    { numRuns: 150 },
  );
});

const ROOT = '/calico/resources/v3/projectcalico.org/';
const NS = { 'projectcalico.org/namespace': 'ns' };
const stored = (
  path: string,
  kind: string,
  spec: object,
  labels: object = {},
): [string, string] => [
  ROOT + path,
  JSON.stringify({
    kind,
    metadata: { name: path.split('/').at(-1), namespace: 'ns', labels: { ...NS, ...labels } },
    spec,
  }),
];
const pod = (name: string, last: number, labels: object = {}, node = 'node1') =>
  stored(
    `workloadendpoints/ns/${node}-k8s-${name}-eth0`,
    'WorkloadEndpoint',
    { node, interfaceName: `cali${name}`, ipNetworks: [`10.1.0.${last}/32`], profiles: ['open'] },
    labels,
  );
const OPEN = stored('profiles/open', 'Profile', {
  ingress: [{ action: 'Allow' }],
  egress: [{ action: 'Allow' }],
});
const policy = (source: string) =>
  stored('networkpolicies/ns/p', 'NetworkPolicy', {
    selector: "app == 'server'",
    types: ['Ingress'],
    ingress: [{ action: 'Deny', source: { selector: source } }, { action: 'Allow' }],
  });
const flow = (from: number, to: number) => ({
  source: ip(`10.1.0.${from}`),
  destination: ip(`10.1.0.${to}`),
  protocol: 6,
  sourcePort: 4711,
  destinationPort: 80,
  icmp: undefined,
  isRelated: false,
});

test('only endpoints that a change is about are looked at; the host and related flows are let be', () => {
  const calculator = calculatorOf();
  const put = (...items: readonly [string, string][]): void => {
    for (const [key, value] of items) calculator.put(key, value);
    calculator.of(4).desired();
  };
  put(OPEN, pod('a', 1, { app: 'server' }), pod('b', 2), policy("role == 'bad'"));
  const changed = new ChangedEndpoints(calculator.facts);
  assert.deepEqual(changed.take(), [], 'the first look is what others are compared with');
  put(pod('c', 3, {}, 'node2'));
  assert.deepEqual(changed.take(), []);
  put(pod('c', 3, { role: 'bad' }, 'node2'));
  assert.deepEqual(changed.take(), ['10.1.0.1'], 'a set that its policy names');
  put(policy('all()'));
  assert.deepEqual(changed.take(), ['10.1.0.1']);
  assert.deepEqual(changed.take(), []);
  const isDenied = denierOf(calculator.facts, new Set(['10.1.0.2']));
  assert.equal(isDenied(flow(3, 1)), true);
  assert.equal(isDenied({ ...flow(3, 1), isRelated: true }), false);
  assert.equal(isDenied(flow(2, 1)), false, 'the host itself');
  assert.equal(isDenied(flow(1, 3)), false, 'what the endpoint sends');
});
