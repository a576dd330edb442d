// The rules that tell of denied packets: they stand before each denial, and nothing else changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRules } from '../read/parsed-rule.ts';
import { endpointChains } from './endpoint-chains.ts';
import { DROP, NFLOG_GROUP } from './fragments.ts';
import { tierDenialPrefix } from './names.ts';
import { policyChain, profileChain } from './policy-chains.ts';
import type { Rule } from './rule.ts';

const RULES = parseRules(
  [
    { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
    { action: 'Deny', protocol: 'UDP', source: { nets: ['10.0.0.0/8', '11.0.0.0/8'] } },
    { action: 'Deny' },
  ],
  'ns',
).rules;
const POLICY = {
  id: 'np/ns/p',
  kind: 'NetworkPolicy',
  name: 'p',
  namespace: 'ns',
  tier: 'default',
};
const isTold = ({ action }: Rule): boolean => action.includes('NFLOG');
const prefixOf = ({ action }: Rule): string => /--nflog-prefix "(.*)"/.exec(action)?.[1] ?? '';

test('each Deny of a policy or profile is told under its number, with the same match', () => {
  for (const chain of [
    policyChain(POLICY, 'ingress', RULES, 4, { logDenied: true }),
    profileChain('p', 'egress', RULES, 4, { logDenied: true }),
  ]) {
    const { name, rules } = chain;
    const told = rules.filter(isTold);
    assert.deepEqual(told.map(prefixOf), [`${name} 2`, `${name} 3`]);
    for (const [i, rule] of rules.entries())
      if (isTold(rule)) {
        const { action, match } = rules[i + 1]!;
        assert.deepEqual([action, match], [DROP, rule.match]);
      }
  }
  assert.match(
    prefixOf(policyChain(POLICY, 'ingress', RULES, 4, { logDenied: true }).rules.at(-2)!),
    / 3$/,
  );
  assert.equal(NFLOG_GROUP, 1);
});

test('without the log the chain is as it was', () => {
  const plain = policyChain(POLICY, 'ingress', RULES, 4);
  const logged = policyChain(POLICY, 'ingress', RULES, 4, { logDenied: true });
  assert.equal(plain.rules.filter(isTold).length, 0);
  assert.deepEqual(
    logged.rules.filter((rule) => !isTold(rule)),
    plain.rules,
  );
});

test('the ends of tiers and profiles are told; a prefix fits into 63 characters', () => {
  const tier = 'a-tier-whose-name-takes-all-the-sixty-three-characters-allowed-';
  const make = (logDenied: boolean, defaultAction: 'Deny' | 'Pass') =>
    endpointChains({
      name: 'cali-tw-cali12345678901',
      direction: 'ingress',
      kind: 'normal',
      forbidden: {},
      tiers: [{ name: tier, defaultAction, policies: [{ ...POLICY, selectorText: 'all()' }] }],
      profiles: ['kns.x'],
      logDenied,
    })[0]!.rules;
  const told = make(true, 'Deny').filter(isTold).map(prefixOf);
  assert.deepEqual(told, [
    tierDenialPrefix('cali-tw-cali12345678901', tier),
    'cali-tw-cali12345678901 profiles',
  ]);
  assert.ok(told.every((prefix) => prefix.length <= 63));
  assert.equal(make(true, 'Pass').filter(isTold).length, 1);
  assert.deepEqual(
    make(true, 'Deny').filter((rule) => !isTold(rule)),
    make(false, 'Deny'),
  );
});
