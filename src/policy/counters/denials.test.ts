import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCalculator } from '../calculate.ts';
import type { Policy } from '../read/resources.ts';
import { policyChainName, tierDenialPrefix } from '../render/names.ts';
import { Denials, namesByAddress, TokenBucket } from './denials.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const KINDS: Record<string, string> = {
  workloadendpoints: 'WorkloadEndpoint',
  profiles: 'Profile',
  tiers: 'Tier',
  networkpolicies: 'NetworkPolicy',
};
const stored = (path: string, spec: object): [string, string] => {
  const [plural = '', ...rest] = path.split('/');
  const labels = { 'projectcalico.org/namespace': 'ns' };
  const metadata = { name: rest.at(-1), namespace: 'ns', labels };
  return [ROOT + path, JSON.stringify({ kind: KINDS[plural], metadata, spec })];
};
const TIER = 'a-tier-whose-name-is-much-longer-than-a-chain';

function calculatorOf(): PolicyCalculator {
  const calculator = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false, logDenied: true },
    nodeAddress: () => undefined,
  });
  const endpoint = { node: 'node1', interfaceName: 'calia', ipNetworks: ['10.1.0.1/32'] };
  const items = [
    stored('workloadendpoints/ns/node1-k8s-web--1-eth0', { ...endpoint, profiles: ['kns.ns'] }),
    stored('profiles/kns.ns', { ingress: [{ action: 'Deny' }] }),
    stored('tiers/a-tier-whose-name-is-much-longer-than-a-chain', { order: 1 }),
    stored(`networkpolicies/ns/${TIER}.p`, { tier: TIER, ingress: [{ action: 'Deny' }] }),
  ];
  for (const [key, value] of items) calculator.put(key, value);
  return calculator;
}

test('a prefix says tier, policy and rule, or whose end it was', () => {
  const calculator = calculatorOf();
  const { facts } = calculator;
  const denials = new Denials(facts);
  const [{ id, tier, kind, name }] = [...facts.world.policies.values()] as [Policy];
  assert.deepEqual(denials.of(`${policyChainName('ingress', id)} 1`), {
    direction: 'ingress',
    tier,
    policy: `${kind} ns/${name}`,
    rule: 1,
  });
  const end = { endpoint: 'ns/web-1', direction: 'ingress' as const };
  const tierEnd = { ...end, tier: TIER, policy: 'end of tier' };
  assert.deepEqual(denials.of(tierDenialPrefix('cali-tw-calia', TIER)), tierEnd);
  assert.deepEqual(denials.of('cali-fw-calia profiles'), {
    ...end,
    direction: 'egress',
    tier: '',
    policy: 'no profile',
  });
  assert.equal(denials.of('cali-pri-kns.ns 2')?.policy, 'Profile kns.ns');
  for (const other of ['', 'calico-packet: ', 'cali-pi-gone 1', 'cali-tw-calia what'])
    assert.equal(denials.of(other), undefined);
  assert.deepEqual([...namesByAddress(facts)], [['10.1.0.1', 'ns/web-1']]);
});

test('what changes is seen', () => {
  const calculator = calculatorOf();
  const denials = new Denials(calculator.facts);
  assert.equal(denials.of('cali-pi-np/ns/q 1'), undefined);
  calculator.put(...stored('networkpolicies/ns/q', { ingress: [] }));
  const { id } = [...calculator.facts.world.policies.values()].find(({ name }) => name === 'q')!;
  assert.equal(denials.of(`${policyChainName('ingress', id)} 1`)?.policy, 'NetworkPolicy ns/q');
});

test('a bucket: a burst, then so many a second', () => {
  const bucket = new TokenBucket(2, 3, 0);
  const taken = [0, 0, 0, 0, 500, 500, 10_000, 10_000, 10_000, 10_000].map((at) => bucket.take(at));
  const expected = [true, true, true, false, true, false, true, true, true, false];
  assert.deepEqual(taken, expected);
});
