// What staged policies would do: told by `trace` and `reach`, never enforced.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCalculator } from '../../policy/calculate.ts';
import { modelOf } from '../../policy/explain/model.ts';
import { parsePort } from '../../policy/explain/ports.ts';
import { withStaged } from '../../policy/read/staged.ts';
import { reachCommand, traceCommand } from './trace.ts';
import { parseWhatIf } from './what-if.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const API = 'apiVersion: projectcalico.org/v3';

function stored(policies: string): ReadonlyMap<string, string> {
  const items = new Map<string, string>();
  for (const [name, address] of [
    ['web', '192.168.1.1'],
    ['db', '192.168.1.2'],
  ]) {
    const labels = {
      app: name,
      'projectcalico.org/namespace': 'shop',
      'projectcalico.org/orchestrator': 'k8s',
    };
    const spec = {
      node: 'node1',
      interfaceName: `cali${name}`,
      ipNetworks: [`${address}/32`],
      profiles: ['projectcalico-default-allow'],
    };
    const value = { kind: 'WorkloadEndpoint', metadata: { name, labels }, spec };
    items.set(`${ROOT}workloadendpoints/shop/node1-k8s-${name}-eth0`, JSON.stringify(value));
  }
  const parsed = parseWhatIf(policies);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error);
  for (const { key, value } of parsed.value) items.set(key, value);
  return items;
}

function models(policies: string) {
  const items = stored(policies);
  const staged = withStaged(items);
  return { enforced: modelOf(items), ...(staged ? { staged: modelOf(staged) } : {}) };
}

function asked(policies: string) {
  const port = parsePort('80');
  assert.ok(port.ok);
  const traced = traceCommand(models(policies), 'shop/web', 'shop/db', port.value);
  const reached = reachCommand(models(policies), port.value, []);
  assert.ok(traced.ok && reached.ok);
  const data = traced.value.data as {
    readonly verdict: string;
    readonly staged?: { readonly verdict: string };
  };
  return {
    now: data.verdict,
    staged: data.staged?.verdict,
    lines: traced.value.lines,
    reach: reached.value.lines,
  };
}

const deny = (kind: string, extra = ''): string => `
${API}
kind: ${kind}
metadata: {name: closed${kind.includes('Global') ? '' : ', namespace: shop'}}
spec: {${extra}selector: app == 'db', types: [Ingress]}
`;

for (const kind of ['StagedNetworkPolicy', 'StagedGlobalNetworkPolicy'])
  test(`${kind}: nothing is denied, and told what would be`, () => {
    const { now, staged, lines, reach } = asked(deny(kind));
    assert.equal(now, 'allow');
    assert.equal(staged, 'deny');
    assert.ok(lines.includes('with staged policies:'));
    assert.match(lines.join('\n'), /closed.*: no rule matches/);
    assert.equal(lines.at(-1), 'verdict: deny');
    assert.match(reach.at(-1) ?? '', /would deny 1 of the 2 pairs that may talk, and open 0/);
    assert.ok(reach.some((line) => line.includes('all (staged: 1 of 2)')));
  });

test('StagedKubernetesNetworkPolicy: as the controller would store it', () => {
  const { now, staged } = asked(`
${API}
kind: StagedKubernetesNetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
`);
  assert.deepEqual([now, staged], ['allow', 'deny']);
});

test('stagedAction Delete: what opens when the enforced policy goes; Ignore and Learn: nothing', () => {
  const enforced = deny('NetworkPolicy');
  const { now, staged, reach } = asked(
    `${enforced}---${deny('StagedNetworkPolicy', 'stagedAction: Delete, ')}`,
  );
  assert.deepEqual([now, staged], ['deny', 'allow']);
  assert.match(reach.at(-1) ?? '', /would deny 0 of the 1 pairs that may talk, and open 1/);
  for (const action of ['Ignore', 'Learn']) {
    const quiet = asked(deny('StagedNetworkPolicy', `stagedAction: ${action}, `));
    assert.deepEqual([quiet.now, quiet.staged], ['allow', undefined]);
  }
});

test('a staged policy that cannot be read closes, as it would when enforced', () => {
  const items = new Map(stored(''));
  items.set(`${ROOT}stagednetworkpolicies/shop/broken`, 'no JSON');
  const { staged } = { staged: withStaged(items) };
  assert.ok(staged);
  const model = modelOf(staged);
  const closed = [...model.world.policies.values()].find(({ isStaged }) => !isStaged);
  assert.equal(closed?.problems.length, 1);
});

test('the kernel hears of staged policies no more than that their tier begins', () => {
  const one = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });
  for (const [key, value] of stored('')) one.put(key, value);
  const rules = (): readonly string[] =>
    [...one.of(4).desired().tables.get('filter')!.chains.values()]
      .flatMap((chain) => chain.rules.map(({ text }) => `${chain.name} ${text}`))
      .filter((text) => !text.includes('"Start of tier '))
      .map((text) => text.replace(/"cali:\S{16}"/, ''));
  const before = rules();
  const staged = ['StagedNetworkPolicy', 'StagedGlobalNetworkPolicy'].map((kind) => deny(kind));
  for (const [key, value] of stored(staged.join('---')))
    if (key.includes('/staged')) one.put(key, value);
  assert.deepEqual(rules(), before);
});
