import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base64url } from '../../base/hash.ts';
import type { Limit } from '../read/endpoints.ts';
import { parseRules } from '../read/parsed-rule.ts';
import { RULE_DEFAULTS } from '../read/rule-settings.ts';
import { dispatchChains } from './dispatch-chains.ts';
import { endpointChains } from './endpoint-chains.ts';
import {
  groupChainName,
  limitedName,
  namedPortSetId,
  policyChainName,
  profileChainName,
  selectorSetId,
  setName,
} from './names.ts';
import { profileChain } from './policy-chains.ts';
import { hashOf, type Rule, renderChain } from './rule.ts';
import { renderRule } from './rule-render.ts';
import { type FixedFacts, staticChains } from './static-chains.ts';

const WITH_TUNNEL: FixedFacts = {
  rules: RULE_DEFAULTS,
  tunnelled: { ipip: true, vxlanPort: undefined },
  masquerades: true,
  services: [],
  marksDscp: false,
};

const WITHOUT_TUNNEL: FixedFacts = {
  ...WITH_TUNNEL,
  tunnelled: { ipip: false, vxlanPort: undefined },
};

test('names of chains', () => {
  const cases: [string, string][] = [
    [profileChainName('ingress', 'ksa.kube-system.coredns'), 'cali-pri-_u2Tn2rSoAPffvE7JO6'],
    [policyChainName('ingress', 'np/default/knp.default.web'), 'cali-pi-_kMZT6bzNwqeiab0D1tV'],
    [policyChainName('ingress', 'gnp/allow-6379'), 'cali-pi-gnp/allow-6379'],
    [limitedName('cali-pi-', 'x'.repeat(20)), `cali-pi-${'x'.repeat(20)}`],
    [
      limitedName('cali-pi-', `_${'x'.repeat(19)}`),
      `cali-pi-_${base64url('sha256', `_${'x'.repeat(19)}`).slice(0, 19)}`,
    ],
    [limitedName('cali-pi-', 'a\n-F'), `cali-pi-_${base64url('sha256', 'a\n-F').slice(0, 19)}`],
    [
      groupChainName('ingress', 'host == "node1"', [
        '{Name: default.host, Namespace: , Kind: GlobalNetworkPolicy}',
        '{Name: default.forward, Namespace: , Kind: GlobalNetworkPolicy}',
      ]),
      'cali-gi-xvaX6J-Z9efXKRLUNKsv',
    ],
  ];
  for (const [name, expected] of cases) assert.equal(name, expected);
});

test('names of sets', () => {
  assert.equal(setName(4, selectorSetId('role == "frontend"')), 'cali40s:lJVGDaqTNzSq4oOWKtH8pYj');
  const all = selectorSetId('all()');
  assert.equal(setName(4, all), 'cali40s:5y5I3VdRZfDU01O--xXAPx2');
  assert.equal(setName(4, namedPortSetId(all, 'tcp', 'http')), 'cali40n:cl9_Kgeu4H0OGLbhovVR3NB');
  assert.equal(setName(6, 'this-host'), 'cali60this-host');
});

const hashes = (name: string, rules: readonly Rule[]): readonly string[] =>
  renderChain({ name, rules }).rules.map(({ hash }) => hash);

const ruleOf = (chains: ReturnType<typeof staticChains>, name: string): readonly Rule[] =>
  chains.find((chain) => chain.name === name)!.rules;

const textsOf = (rules: readonly Rule[]): readonly string[] =>
  rules.map(({ match, action }) => `${match} ${action}`.trim());

test('IPv6: neighbour discovery passes before any policy, but no router’s words; no tunnel rules', () => {
  const six = staticChains('filter', 6, WITHOUT_TUNNEL);
  assert.deepEqual(textsOf(ruleOf(six, 'cali-wl-to-host')), [
    ...[130, 131, 132, 133, 135, 136].map(
      (type) => `-p 58 -m icmp6 --icmpv6-type ${type} --jump ACCEPT`,
    ),
    '--jump cali-from-wl-dispatch',
    '--jump DROP',
  ]);
  const [, ...withoutTunnel] = textsOf(
    ruleOf(staticChains('filter', 4, WITH_TUNNEL), 'cali-INPUT'),
  );
  assert.deepEqual(textsOf(ruleOf(six, 'cali-INPUT')), withoutTunnel.slice(1));
  for (const table of ['filter', 'nat', 'raw', 'mangle'] as const)
    for (const { name, rules } of staticChains(table, 6, WITHOUT_TUNNEL))
      for (const text of textsOf(rules)) assert.doesNotMatch(text, /tunl0|cali40|-p 4 /, name);
});

test('IPv6: nets of the other family leave a rule out; sets and ICMP are the family’s own', () => {
  const rule = (more: object): readonly string[] => {
    const { rules, problems } = parseRules([{ action: 'Allow', ...more }], undefined);
    assert.deepEqual(problems, []);
    return textsOf(rules.flatMap((parsed) => renderRule(parsed, 6))).slice(0, 1);
  };
  const mark = '--jump MARK --set-mark 0x10000/0x10000';
  assert.deepEqual(rule({ source: { nets: ['10.0.0.0/8'] } }), []);
  assert.deepEqual(rule({ ipVersion: 4 }), []);
  assert.deepEqual(rule({ protocol: 'ICMP', icmp: { type: 8 } }), []);
  // Without a version Felix takes ICMP for IPv4's alone, and ICMPv6 for IPv6's.
  assert.deepEqual(rule({ protocol: 'ICMP' }), []);
  assert.deepEqual(rule({ protocol: 'ICMPv6' }), [`-p icmpv6 ${mark}`]);
  assert.deepEqual(rule({ protocol: 1 }), [`-p 1 ${mark}`]);
  assert.deepEqual(rule({ notProtocol: 'ICMP' }), [`! -p icmp ${mark}`]);
  assert.deepEqual(rule({ source: { nets: ['fd00::/8', '10.0.0.0/8'] } }), [
    `--source fd00::/8 ${mark}`,
  ]);
  assert.deepEqual(rule({ protocol: 'ICMPv6', icmp: { type: 128 } }), [
    `-p icmpv6 -m icmp6 --icmpv6-type 128 ${mark}`,
  ]);
  assert.deepEqual(rule({ destination: { selector: 'all()' } }), [
    `-m set --match-set cali60s:5y5I3VdRZfDU01O--xXAPx2 dst ${mark}`,
  ]);
});

test('hashes: IPIP on, and the jump to what packets get as DSCP, which stands only where some do', () => {
  const input = ruleOf(staticChains('filter', 4, WITH_TUNNEL), 'cali-INPUT');
  assert.deepEqual(hashes('cali-INPUT', input).slice(0, 2), [
    'PajejrV4aFdkZojI',
    '_wjq-Yrma8Ly1Svo',
  ]);
  const postrouting = (marksDscp: boolean) =>
    ruleOf(staticChains('mangle', 4, { ...WITH_TUNNEL, marksDscp }), 'cali-POSTROUTING');
  assert.deepEqual(postrouting(true).slice(1), postrouting(false));
  assert.deepEqual(hashes('cali-POSTROUTING', postrouting(true)), [
    'rjggb5FqJG-Y25Bt',
    'jjeDINEyBNIZOyCC',
    'zNC99P5aQEt6jv4X',
    'Zq8WVZgLnBNyn-Ed',
    'x8FyevjrLjl7aiMw',
  ]);
});

test('VXLAN on: Felix’s hashes of its rules; both directions untracked; translated past its port', () => {
  const facts = { ...WITH_TUNNEL, tunnelled: { ipip: false, vxlanPort: 4789 } };
  const of = (table: 'filter' | 'nat' | 'raw', family: 4 | 6, chain: string): readonly Rule[] =>
    ruleOf(staticChains(table, family, facts), chain);
  assert.deepEqual(hashes('cali-INPUT', of('filter', 4, 'cali-INPUT')).slice(0, 4), [
    'J76FwxInZIsk7uKY',
    'EDCNTTxYfggApx8C',
    'H03xYXARh4e8pwd4',
    'MN6K3isIWBigb1Va',
  ]);
  assert.equal(hashes('cali-OUTPUT', of('filter', 4, 'cali-OUTPUT'))[2], '-QZG79DohFjalQBb');
  const untracked = '-p udp --dport 4789 --jump NOTRACK';
  assert.equal(textsOf(of('raw', 4, 'cali-PREROUTING'))[1], untracked);
  assert.equal(textsOf(of('raw', 6, 'cali-OUTPUT'))[2], untracked);
  const local = '-m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL';
  assert.deepEqual(textsOf(of('nat', 6, 'cali-POSTROUTING')).slice(2), [
    `-p udp --out-interface vxlan-v6.calico ${local} --jump MASQUERADE --to-ports 4790-65535 --random-fully`,
    `--out-interface vxlan-v6.calico ${local} --jump MASQUERADE --random-fully`,
  ]);
  assert.match(textsOf(of('filter', 6, 'cali-INPUT'))[0]!, /cali60all-vxlan-net src/);
});

test('comments cannot break out of their quotes', () => {
  const { rules } = renderChain({
    name: 'c',
    rules: [{ match: '', action: '', comments: [`x" -j ACCEPT\n${'y'.repeat(300)}`] }],
  });
  assert.match(
    rules[0]!.text,
    /^-m comment --comment "cali:.{16}" -m comment --comment "x_ -j ACCEPT_y{243}"$/,
  );
  assert.equal(hashOf(rules[0]!.text), rules[0]!.hash);
  assert.equal(hashOf('-m comment --comment "other" -j ACCEPT'), undefined);
});

test('dispatch is a shallow tree and ends in a drop', () => {
  const text = dispatchChains('egress', ['cali22', 'cali1', 'cali21']).map(
    ({ name, rules }) => `${name}: ${rules.map((r) => `${r.match} ${r.action}`.trim()).join('; ')}`,
  );
  assert.deepEqual(text, [
    'cali-from-wl-dispatch: --in-interface cali1 --goto cali-fw-cali1; ' +
      '--in-interface cali2+ --goto cali-from-wl-dispatch-2; --jump DROP',
    'cali-from-wl-dispatch-2: --in-interface cali21 --goto cali-fw-cali21; ' +
      '--in-interface cali22 --goto cali-fw-cali22; --jump DROP',
  ]);
  assert.deepEqual(
    dispatchChains('ingress', []).map(({ rules }) => rules.length),
    [1],
  );
});

test('policies of one selector share a chain with a return every fifth jump', () => {
  const policies = Array.from({ length: 6 }, (_, i) => ({
    id: `gnp/p${i}`,
    kind: 'GlobalNetworkPolicy',
    name: `p${i}`,
    namespace: undefined,
    selectorText: 'all()',
  }));
  const [own, group] = endpointChains({
    name: 'cali-tw-cali1',
    direction: 'ingress',
    kind: 'normal',
    forbidden: {},
    tiers: [{ name: 'default', policies, defaultAction: 'Pass' }],
    profiles: [],
  });
  assert.match(own!.rules[4]!.action, new RegExp(`^--jump ${group!.name}$`));
  assert.ok(!own!.rules.some(({ comments }) => comments?.[0]?.startsWith('End of tier')));
  assert.deepEqual(
    group!.rules.map(({ match, action }) => `${match} ${action}`.trim()),
    [
      '--jump cali-pi-gnp/p0',
      ...[1, 2, 3, 4].map((i) => `-m mark --mark 0/0x30000 --jump cali-pi-gnp/p${i}`),
      '-m mark ! --mark 0/0x30000 --jump RETURN',
      '--jump cali-pi-gnp/p5',
    ],
  );
});

test('limits of a pod’s traffic, as Felix writes them: packets first, new connections before any policy', () => {
  const chain = (direction: 'ingress' | 'egress', limit: Limit) =>
    endpointChains({
      ...{ name: 'cali-tw-cali1', direction, kind: 'normal', forbidden: {}, limit },
      ...{ tiers: [], profiles: [] },
    })[0]!.rules.map(({ match, action, comments }) => [`${match} ${action}`.trim(), comments?.[0]]);
  const both = chain('ingress', { packets: { rate: 100, burst: 7 }, connections: 9 });
  assert.deepEqual(both.slice(0, 4), [
    ['--jump MARK --set-mark 0/0x80000', 'Clear ingress packet rate limit mark'],
    [
      '-m limit --limit 100/sec --limit-burst 7 --jump MARK --set-mark 0x80000/0x80000',
      'Mark packets within ingress packet rate limit',
    ],
    ['-m mark ! --mark 0x80000/0x80000 --jump DROP', 'Drop packets over ingress packet rate limit'],
    ['--jump MARK --set-mark 0/0x80000', 'Clear ingress packet rate limit mark'],
  ]);
  assert.match(both[4]![0]!, /ESTABLISHED/);
  assert.deepEqual(both[6], [
    '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above 9 --connlimit-mask 0 --jump REJECT --reject-with tcp-reset',
    'Reject connections over ingress connection limit',
  ]);
  assert.deepEqual(
    chain('egress', {}),
    chain('egress', {}).filter(([text]) => !/limit/.test(text!)),
  );
});

test('a third block does not inherit the second one’s verdict', () => {
  const { rules, problems } = parseRules(
    [
      {
        action: 'Allow',
        protocol: 'TCP',
        source: { nets: ['10.0.0.0/8', '11.0.0.0/8'], ports: [1, 'a'] },
        destination: { nets: ['12.0.0.0/8', '13.0.0.0/8'], notNets: ['12.1.0.0/16'] },
      },
    ],
    undefined,
  );
  assert.deepEqual(problems, []);
  const rendered = renderRule(rules[0]!, 4).map((r) => `${r.match} ${r.action}`.trim());
  assert.deepEqual(rendered.slice(3), [
    '--source 10.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000',
    '--source 11.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000',
    '-m mark --mark 0/0x100000 --jump MARK --set-mark 0/0x80000',
    '--jump MARK --set-mark 0/0x100000',
    '--destination 12.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000',
    '--destination 13.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000',
    '-m mark --mark 0/0x100000 --jump MARK --set-mark 0/0x80000',
    '-p tcp ! --destination 12.1.0.0/16 -m mark --mark 0x80000/0x80000 ' +
      '--jump MARK --set-mark 0x10000/0x10000',
    '-m mark --mark 0x10000/0x10000 --jump RETURN',
  ]);
});

test('a profile that passes does not see the pass mark of a policy', () => {
  const actionsOf = (action: 'Allow' | 'Pass') => {
    const { rules } = parseRules([{ action }, { action: 'Deny' }], undefined);
    return profileChain('p', 'egress', rules, 4).rules.map((rule) => rule.action);
  };
  assert.deepEqual(actionsOf('Pass').slice(0, 3), [
    '--jump MARK --set-mark 0/0x20000',
    '--jump MARK --set-mark 0x20000/0x20000',
    '--jump RETURN',
  ]);
  assert.equal(actionsOf('Allow')[0], '--jump MARK --set-mark 0x10000/0x10000');
});

test('a rule of the other family or without any packet renders nothing', () => {
  const of = (rule: Parameters<typeof parseRules>[0]) =>
    parseRules(rule, undefined).rules.flatMap((r) => renderRule(r, 4));
  assert.deepEqual(of([{ action: 'Allow', ipVersion: 6 }]), []);
  assert.deepEqual(of([{ action: 'Allow', source: { nets: ['fd00::/8'] } }]), []);
  assert.deepEqual(of([{ action: 'Allow', source: { notNets: ['0.0.0.0/0'] } }]), []);
  assert.equal(of([{ action: 'Allow', source: { nets: ['fd00::/8', '10.0.0.0/8'] } }]).length, 2);
});

test('a rule that cannot be read fails closed', () => {
  const bad = { protocol: 'TCP', source: { selector: 'a = b' } };
  const { rules, problems } = parseRules(
    [
      { action: 'Allow', ...bad },
      { action: 'Deny', ...bad },
      { action: 'Allow', destination: { ports: [80] } },
      { action: 'Allow', protocol: 'tcp -j ACCEPT' },
      { action: 'Allow', protocol: 'TCP', destination: { ports: ['9:1'] } },
      { action: 'Allow', source: { nets: ['10.0.0.0/40'] } },
      { action: 'Allow', protocol: 'UDP', icmp: { type: 3 } },
    ],
    'default',
  );
  assert.deepEqual(
    rules.map(({ action }) => action),
    ['Deny'],
  );
  assert.equal(rules[0]!.source.sets.length, 0);
  assert.equal(problems.length, 7);
  assert.match(problems[0]!, /^rule 1: expected == at column 3 of selector "a = b"$/);
});
