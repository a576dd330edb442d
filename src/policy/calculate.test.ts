import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip } from '../net/ip.ts';
import { PolicyCalculator } from './calculate.ts';
import type { Desired } from './desired.ts';
import { PolicyFeed } from './feed.ts';
import { runWhole } from './run-whole.ts';
import { operation, outcomeOf } from './world.cases.ts';

const calculator = (): PolicyCalculator =>
  new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: true },
    nodeAddress: () => ip('10.9.0.1'),
  });

/** Everything as sorted text. */
const textOf = ({ tables, ipSets }: Desired): readonly string[] =>
  [
    ...[...tables].flatMap(([table, { chains }]) =>
      [...chains.values()].map(
        ({ name, rules }) => `${table} ${name} ${rules.map(({ text }) => text).join('; ')}`,
      ),
    ),
    ...[...ipSets.values()].map(
      ({ meta, members }) => `${meta.name} ${meta.type} ${[...members].sort().join(' ')}`,
    ),
  ].sort();

for (const family of [4, 6] as const) {
  test(`IPv${family}: the result depends on the state alone, not on how it came about`, () => {
    fc.assert(
      fc.property(fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 8 }), (batches) => {
        const incremental = calculator();
        for (const batch of batches) {
          for (const change of batch) {
            if (change.kind === 'put') incremental.put(change.key, change.value);
            else incremental.remove(change.key);
          }
          if (incremental.of(family).isStale) incremental.of(family).desired();
        }
        const fresh = calculator();
        for (const [key, value] of outcomeOf(batches.flat())) fresh.put(key, value);
        assert.deepEqual(
          textOf(incremental.of(family).desired()),
          textOf(fresh.of(family).desired()),
        );
        assert.deepEqual([...incremental.problems()].sort(), [...fresh.problems()].sort());
      }),
      { numRuns: 300 },
    );
  });

  test(`IPv${family}: what is not stale answers as before`, () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 12 }), (operations) => {
        const one = calculator();
        let before = textOf(one.of(family).desired());
        for (const change of operations) {
          if (change.kind === 'put') one.put(change.key, change.value);
          else one.remove(change.key);
          const stale = one.of(family).isStale;
          const now = textOf(one.of(family).desired());
          if (!stale) assert.deepEqual(now, before);
          before = now;
        }
      }),
      { numRuns: 300 },
    );
  });

  test(`IPv${family}: every chain that a rule names exists, and every set`, () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const one = calculator();
        for (const [key, value] of outcomeOf(operations)) one.put(key, value);
        const { tables, ipSets } = one.of(family).desired();
        for (const { chains } of tables.values()) {
          for (const { text } of [...chains.values()].flatMap(({ rules }) => rules)) {
            const target = /--(?:jump|goto) (cali-\S+)/.exec(text)?.[1];
            if (target) assert.ok(chains.has(target), text);
            for (const [, set] of text.matchAll(/--match-set (\S+)/g))
              assert.ok(ipSets.has(set!), text);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
}

const R = '/calico/resources/v3/projectcalico.org/';
const ENDPOINT = `${R}workloadendpoints/default/node1-k8s-a-eth0`;
const endpoint = (extra: object = {}): string =>
  JSON.stringify({
    kind: 'WorkloadEndpoint',
    metadata: { name: 'node1-k8s-a-eth0', namespace: 'default', labels: { 'pcns.team': 'red' } },
    spec: { node: 'node1', interfaceName: 'cali1', ipNetworks: ['10.1.0.1/32'], ...extra },
  });
const chainsOf = (one: PolicyCalculator) => one.of(4).desired().tables.get('filter')!.chains;
const texts = (one: PolicyCalculator, chain: string): readonly string[] =>
  chainsOf(one)
    .get(chain)!
    .rules.map(({ text }) => text.replace(/-m comment --comment "[^"]*" ?/g, ''));

test('an endpoint that went is remembered by no family, also one that is never asked', () => {
  const one = calculator();
  one.of(4).desired();
  for (let i = 0; i < 10; i++) {
    one.put(ENDPOINT, endpoint({ interfaceName: `cali${i}` }));
    one.of(4).additions();
    one.remove(ENDPOINT);
  }
  assert.deepEqual([one.of(4).fresh.size, one.of(6).fresh.size], [0, 0]);
});

test('additions: the chains of a new endpoint; none for one that only got its address or went', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint({ ipNetworks: [] }));
  assert.equal(one.of(4).additions(), undefined, 'the whole goes first');
  one.of(4).desired();
  one.put(ENDPOINT, endpoint());
  assert.deepEqual(one.of(4).additions()?.chains, []);
  const other = ENDPOINT.replace('-a-', '-b-');
  one.put(other, endpoint({ interfaceName: 'cali2' }));
  const added = one.of(4).additions()!;
  assert.deepEqual(added.interfaces, ['cali2']);
  const desired = one.of(4).desired().tables.get('filter')!.chains;
  assert.ok(added.chains.some(({ name }) => name === 'cali-tw-cali2'));
  for (const chain of added.chains) assert.deepEqual(chain, desired.get(chain.name));
  one.remove(other);
  assert.deepEqual(one.of(4).additions()?.interfaces, []);
  assert.equal(one.of(4).desired().tables.get('filter')!.chains.has('cali-tw-cali2'), false);
});

test('a policy that applies to an endpoint here takes more than additions, another does not', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint().replace('pcns.team', 'team'));
  one.of(4).desired();
  const policy = (selector: string) =>
    JSON.stringify({
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'g' },
      spec: { selector, types: ['Ingress'] },
    });
  one.put(`${R}globalnetworkpolicies/g`, policy("team == 'blue'"));
  assert.ok(one.of(4).additions());
  one.put(`${R}globalnetworkpolicies/g`, policy("team == 'red'"));
  assert.equal(one.of(4).additions(), undefined);
});

test('a profile that does not exist closes the endpoint', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint({ profiles: ['kns.none'] }));
  assert.deepEqual(texts(one, 'cali-pri-kns.none'), [
    '--jump MARK --set-mark 0x40000/0x40000',
    '-m mark --mark 0x40000/0x40000 --jump DROP',
  ]);
});

test('allowed sources: only while FelixConfiguration says Any, by family, and whole at once', () => {
  const one = calculator();
  const felix = (name: string, workloadSourceSpoofing: string) =>
    one.put(
      `${R}felixconfigurations/${name}`,
      JSON.stringify({
        kind: 'FelixConfiguration',
        metadata: { name },
        spec: { workloadSourceSpoofing },
      }),
    );
  const skipped = (family: 4 | 6): readonly string[] =>
    one
      .of(family)
      .desired()
      .tables.get('raw')!
      .chains.get('cali-rpf-skip')!
      .rules.map(({ text }) => text.replace(/^-m comment --comment "[^"]*" /, ''));
  const asking = endpoint({
    ipNetworks: ['10.1.0.1/32', 'fd00::1/128'],
    allowSpoofedSourcePrefixes: ['10.77.0.0/24', 'fd00:77::/64'],
  });
  one.put(ENDPOINT, asking);
  assert.deepEqual(skipped(4), []);
  felix('default', 'Any');
  assert.deepEqual(skipped(4), ['--in-interface cali1 --source 10.77.0.0/24 --jump ACCEPT']);
  assert.deepEqual(skipped(6), ['--in-interface cali1 --source fd00:77::/64 --jump ACCEPT']);
  const tables = one.of(4).desired().tables;
  assert.equal(one.of(4).desired().tables.get('raw'), tables.get('raw'));
  felix('node.node1', 'Disabled');
  assert.deepEqual(skipped(4), [], 'the node’s own setting wins');
  one.remove(`${R}felixconfigurations/node.node1`);
  assert.equal(skipped(4).length, 1);
  one.remove(ENDPOINT);
  assert.equal(one.of(4).additions(), undefined, 'the next of its name must not inherit it');
  assert.deepEqual(skipped(4), []);
  one.put(ENDPOINT, endpoint());
  assert.ok(one.of(4).additions());
  one.put(ENDPOINT, asking);
  assert.equal(one.of(4).additions(), undefined);
});

test('an unreadable policy closes its namespace and is reported', () => {
  const one = calculator();
  one.put(
    ENDPOINT,
    endpoint().replace('"pcns.team"', '"projectcalico.org/namespace":"default","pcns.team"'),
  );
  one.put(`${R}networkpolicies/default/p`, '{"kind":"NetworkPolicy"');
  assert.deepEqual(texts(one, 'cali-pi-np/default/p'), ['']);
  assert.match(texts(one, 'cali-tw-cali1').at(-2)!, /0\/0x20000 --jump DROP/);
  assert.match(one.problems()[0]!, /^NetworkPolicy default\/p: /);
});

test('a pod cannot give itself its namespace’s labels', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint());
  one.put(
    `${R}globalnetworkpolicies/g`,
    JSON.stringify({
      kind: 'GlobalNetworkPolicy',
      metadata: { name: 'g' },
      spec: { selector: "pcns.team == 'red'" },
    }),
  );
  assert.ok(!chainsOf(one).has('cali-pi-gnp/g'));
});

test('an interface name that is more than a name is not rendered', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint({ interfaceName: 'c -j ACCEPT' }));
  assert.equal(texts(one, 'cali-to-wl-dispatch').length, 1);
});

test('the feed: what CNI ADD wrote is not undone by what the watch tells late', () => {
  const one = calculator();
  const feed = new PolicyFeed(one, 'node1');
  const there = (): boolean => chainsOf(one).has('cali-tw-cali1');
  const item = (value: string) => ({ key: ENDPOINT, value, revision: 1n });
  const [older, newer] = [endpoint({ interfaceName: 'cali0' }), endpoint()];
  runWhole(feed.snapshot([]));
  assert.ok(feed.putEndpoint(ENDPOINT, newer));
  assert.ok(!feed.changes([{ kind: 'put', item: item(older) }]), 'an older value');
  assert.ok(!feed.changes([{ kind: 'delete', key: ENDPOINT, revision: 1n }]), 'an older delete');
  assert.ok(there());
  runWhole(feed.snapshot([]));
  assert.ok(there(), 'a snapshot from before the write');
  assert.ok(!feed.changes([{ kind: 'put', item: item(newer) }]), 'confirmed');
  assert.ok(feed.changes([{ kind: 'delete', key: ENDPOINT, revision: 2n }]), 'a newer delete');
  assert.ok(!there());
  feed.putEndpoint(ENDPOINT, newer);
  runWhole(feed.snapshot([]));
  runWhole(feed.snapshot([]));
  assert.ok(!there(), 'two snapshots do not know it');
  feed.putEndpoint(ENDPOINT, newer);
  assert.ok(feed.removeEndpoint(ENDPOINT));
  assert.ok(!there());
});

test('a match that we do not know admits nothing', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint());
  const spec = {
    selector: 'all()',
    ingress: [
      { action: 'Allow', source: { services: { name: 'web' } } },
      { action: 'Allow', http: { methods: ['GET'] } },
      { action: 'Deny', source: { nets: 7 } },
    ],
  };
  one.put(
    `${R}globalnetworkpolicies/g`,
    JSON.stringify({ kind: 'GlobalNetworkPolicy', metadata: { name: 'g' }, spec }),
  );
  assert.deepEqual(texts(one, 'cali-pi-gnp/g'), [
    '--jump MARK --set-mark 0x40000/0x40000',
    '-m mark --mark 0x40000/0x40000 --jump DROP',
  ]);
  assert.equal(one.problems().length, 3);
});

const KINDS = {
  'workloadendpoints/ns/node1-k8s-a-eth0': 'WorkloadEndpoint',
  'networkpolicies/ns/p': 'NetworkPolicy',
  'globalnetworkpolicies/g': 'GlobalNetworkPolicy',
  'profiles/kns.ns': 'Profile',
  'tiers/t': 'Tier',
  'nodes/n': 'Node',
  'globalnetworksets/s': 'GlobalNetworkSet',
  'networksets/ns/s': 'NetworkSet',
};
const WORDS = [
  ...['node', 'interfaceName', 'ipNetworks', 'profiles', 'ports', 'name', 'protocol', 'port'],
  ...['tier', 'order', 'selector', 'types', 'ingress', 'egress', 'action', 'source', 'nets'],
  ...['destination', 'labelsToApply', 'bgp', 'ipv4Address', 'icmp', 'type', 'serviceAccounts'],
];
const VALUES = [
  'Allow',
  'Deny',
  'TCP',
  'all()',
  'node1',
  'cali1',
  '10.0.0.1/32',
  'a\n-F',
  'Ingress',
];
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(...VALUES, null, 0, -1, 80, 1e9, true),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...WORDS), tie('json'), { maxKeys: 5 }),
  ),
}));

test('whatever is stored, nothing throws and every rule is one line of known words', () => {
  const object = fc.dictionary(fc.constantFrom(...WORDS), json, { maxKeys: 8 });
  fc.assert(
    fc.property(
      fc.record(Object.fromEntries(Object.keys(KINDS).map((k) => [k, object]))),
      (all) => {
        const one = calculator();
        const wep = 'workloadendpoints/ns/node1-k8s-a-eth0';
        for (const [path, spec] of Object.entries(all)) {
          const kind = KINDS[path as keyof typeof KINDS];
          const more =
            path === wep ? { node: 'node1', interfaceName: 'cali1', profiles: ['kns.ns'] } : {};
          const metadata = { name: 'x', labels: { a: spec['port'], b: spec['name'] } };
          one.put(R + path, JSON.stringify({ kind, metadata, spec: { ...spec, ...more } }));
        }
        const { tables, ipSets } = one.of(4).desired();
        for (const { chains } of tables.values())
          for (const { name, rules } of chains.values())
            for (const { text } of rules) assert.match(`${name} ${text}`, /^[ -~]+$/);
        for (const { members } of ipSets.values())
          for (const member of members) assert.match(member, /^[0-9a-f.:/]+(,[a-z]+:\d+)?$/);
      },
    ),
    { numRuns: 500 },
  );
});

test('policies of one order stand as Felix compares them: name, namespace and kind as one text', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint());
  const policy = (name: string, selector: string): void =>
    void one.put(
      `${R}globalnetworkpolicies/${name}`,
      JSON.stringify({ kind: 'GlobalNetworkPolicy', metadata: { name }, spec: { selector } }),
    );
  for (const [i, name] of ['web', 'web-2', 'web.1', 'a', 'web0'].entries())
    policy(name, `name != '${i}'`);
  const asked = texts(one, 'cali-tw-cali1').flatMap(
    (text) => /cali-pi-gnp\/(\S+)/.exec(text)?.[1] ?? [],
  );
  assert.deepEqual(asked, ['a', 'web-2', 'web.1', 'web', 'web0']);
});

test('staged policies: no rule of theirs, no end of a tier that has no others; groups are named with them', () => {
  const one = calculator();
  one.put(ENDPOINT, endpoint());
  const put = (plural: string, kind: string, name: string, spec: object): void =>
    void one.put(
      `${R}${plural}/${name}`,
      JSON.stringify({ kind, metadata: { name }, spec: { selector: 'all()', ...spec } }),
    );
  put('stagedglobalnetworkpolicies', 'StagedGlobalNetworkPolicy', 's', { tier: 'kube-admin' });
  const chain = (): readonly string[] => texts(one, 'cali-tw-cali1');
  const starts = (): number => chain().filter((text) => text.endsWith('0/0x20000')).length;
  assert.equal(starts(), 1, 'Start of tier kube-admin');
  assert.ok(!chain().some((text) => /0\/0x20000 --jump DROP/.test(text)));
  put('tiers', 'Tier', 't', { order: 1, defaultAction: 'Deny' });
  put('stagedglobalnetworkpolicies', 'StagedGlobalNetworkPolicy', 's', { tier: 't' });
  assert.ok(!chain().some((text) => /0\/0x20000 --jump DROP/.test(text)), 'nothing is enforced');
  const group = (): string => chain().find((text) => text.includes('cali-gi-'))!;
  for (const name of ['a', 'c'])
    put('globalnetworkpolicies', 'GlobalNetworkPolicy', name, { tier: 't' });
  const jumps = (): readonly string[] => texts(one, /cali-gi-\S+/.exec(group())![0]);
  const [before, rules] = [group(), jumps()];
  put('stagedglobalnetworkpolicies', 'StagedGlobalNetworkPolicy', 'b', { tier: 't' });
  assert.notEqual(group(), before);
  assert.deepEqual(jumps(), rules);
  assert.ok(chain().some((text) => /0\/0x20000 --jump DROP/.test(text)));
  put('stagedglobalnetworkpolicies', 'StagedGlobalNetworkPolicy', 'b', {
    tier: 't',
    stagedAction: 'Delete',
  });
  one.remove(`${R}stagedglobalnetworkpolicies/s`);
  assert.notEqual(group(), before, 's was part of the name');
  assert.deepEqual(jumps(), rules);
});
