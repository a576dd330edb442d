// Log rules: prefix, limit, and who has the last word about them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCalculator } from './calculate.ts';
import { felixEnvironment } from './read/environment.ts';
import type { FelixSettings } from './read/resources.ts';
import { LOG_DEFAULTS, logAction } from './render/log-action.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';

function world(environment: Record<string, string> = {}) {
  const felix = felixEnvironment(environment);
  assert.ok(felix.ok, felix.ok ? '' : felix.error);
  const one = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false, felix: felix.value },
    nodeAddress: () => undefined,
  });
  const put = (path: string, kind: string, spec: object, metadata: object = {}): void => {
    const value = { kind, metadata: { name: 'x', ...metadata }, spec };
    one.put(ROOT + path, JSON.stringify(value));
  };
  const log = [{ action: 'Log' }, { action: 'Allow' }];
  put(
    'workloadendpoints/shop/node1-k8s-a-eth0',
    'WorkloadEndpoint',
    { node: 'node1', interfaceName: 'cali1', ipNetworks: ['10.0.0.1/32'], profiles: ['p'] },
    { labels: { 'projectcalico.org/namespace': 'shop' } },
  );
  put('profiles/p', 'Profile', { ingress: log });
  put('networkpolicies/shop/web', 'NetworkPolicy', { ingress: log });
  put('globalnetworkpolicies/all', 'GlobalNetworkPolicy', { tier: 'kube-admin', ingress: log });
  const lines = (): readonly string[] =>
    [...one.of(4).desired().tables.get('filter')!.chains.values()]
      .flatMap(({ rules }) => rules.map(({ text }) => text))
      .flatMap((text) => /-m limit .*|--jump LOG.*/.exec(text)?.[0] ?? [])
      .sort();
  return { put, lines, remove: (path: string) => one.remove(ROOT + path) };
}

const line = (prefix: string, limit = ''): string =>
  `${limit}--jump LOG --log-prefix "${prefix}: " --log-level 5`;

test('prefix and limit follow FelixConfiguration, the node’s over the cluster’s, and go back', () => {
  const { put, lines, remove } = world();
  const plain = Array.from({ length: 3 }, () => line('calico-packet'));
  assert.deepEqual(lines(), plain);
  put('felixconfigurations/default', 'FelixConfiguration', { logPrefix: '%t %k %n' });
  assert.deepEqual(
    lines(),
    [line('__PROFILE__ pro p'), line('default np web'), line('kube-admin gnp all')].sort(),
  );
  put('felixconfigurations/node.node1', 'FelixConfiguration', {
    logPrefix: '%p',
    logActionRateLimit: '10/minute',
  });
  const limit = '-m limit --limit 10/minute --limit-burst 5 ';
  assert.deepEqual(lines(), ['p', 'shop/web', 'all'].map((prefix) => line(prefix, limit)).sort());
  remove('felixconfigurations/node.node1');
  remove('felixconfigurations/default');
  assert.deepEqual(lines(), plain);
});

test('a prefix may say which rule it was', () => {
  const { put, lines } = world({ FELIX_LOGPREFIX: '%r %p' });
  const spec = { ingress: [{ action: 'Pass' }, { action: 'Log' }], egress: [{ action: 'Log' }] };
  put('networkpolicies/shop/web', 'NetworkPolicy', spec);
  assert.deepEqual(
    lines(),
    ['1 all', '1 p', '1 shop/web', '2 shop/web'].map((text) => line(text)),
  );
});

test('the environment has the last word', () => {
  const { put, lines } = world({
    FELIX_LOGPREFIX: 'mine',
    FELIX_LOGACTIONRATELIMIT: '3/second',
    FELIX_LOGACTIONRATELIMITBURST: '9',
  });
  put('felixconfigurations/node.node1', 'FelixConfiguration', {
    logPrefix: 'theirs',
    logActionRateLimit: '1/day',
  });
  assert.equal(lines()[0], line('mine', '-m limit --limit 3/second --limit-burst 9 '));
});

test('a prefix is cut where iptables would refuse it, and cannot end its quotes', () => {
  const owner = { tier: 't', kind: 'np', name: 'x'.repeat(40), namespace: 'n', rule: 7 };
  const prefixOf = (prefix: string): string =>
    /--log-prefix "(.*)" --log-level/.exec(
      logAction({ ...LOG_DEFAULTS, prefix }, owner).action,
    )![1]!;
  assert.equal(prefixOf('%p').length, 29);
  assert.match(prefixOf('%p'), /^n\/x+: $/);
  assert.equal(prefixOf('a"\n-F'), 'a__-F: ');
  assert.equal(prefixOf('%% %z'), '%% %z: ');
  assert.equal(prefixOf('%r %k'), '7 np: ');
});

test('what iptables would refuse as a limit limits nothing', () => {
  const { put, lines } = world();
  const spec = { logActionRateLimit: 'often --jump ACCEPT', logActionRateLimitBurst: -1 };
  put('felixconfigurations/default', 'FelixConfiguration', spec);
  assert.equal(lines()[0], line('calico-packet'));
});

test('failsafes and spoofing from the environment; what is wrong is named', () => {
  const good = (env: Record<string, string>): FelixSettings => {
    const parsed = felixEnvironment(env);
    assert.ok(parsed.ok);
    return parsed.value;
  };
  assert.equal(good({}).failsafeInbound, undefined);
  assert.deepEqual(good({ FELIX_FAILSAFEINBOUNDHOSTPORTS: 'none' }).failsafeInbound, []);
  const text = 'tcp:22, UDP:10.0.0.0/8:53,tcp:[fd00::/8]:443,80';
  assert.deepEqual(good({ FELIX_FAILSAFEOUTBOUNDHOSTPORTS: text }).failsafeOutbound, [
    { protocol: 'tcp', port: 22, net: undefined },
    { protocol: 'udp', port: 53, net: '10.0.0.0/8' },
    { protocol: 'tcp', port: 443, net: 'fd00::/8' },
    { protocol: 'tcp', port: 80, net: undefined },
  ]);
  assert.equal(good({ FELIX_WORKLOADSOURCESPOOFING: 'any' }).spoofing, true);
  for (const [name, value] of [
    ['FELIX_FAILSAFEINBOUNDHOSTPORTS', 'icmp:1'],
    ['FELIX_FAILSAFEINBOUNDHOSTPORTS', 'tcp:70000'],
    ['FELIX_FAILSAFEOUTBOUNDHOSTPORTS', 'tcp:10.0.0.0/99:22'],
    ['FELIX_LOGACTIONRATELIMIT', '10'],
    ['FELIX_LOGACTIONRATELIMITBURST', '0'],
    ['FELIX_WORKLOADSOURCESPOOFING', 'yes'],
  ] as const) {
    const parsed = felixEnvironment({ [name]: value });
    assert.ok(!parsed.ok && parsed.error.startsWith(`${name}: '${value}'`), value);
  }
});
