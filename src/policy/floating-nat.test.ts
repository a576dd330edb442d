import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCalculator } from './calculate.ts';

const ROOT = '/calico/resources/v3/projectcalico.org';
const resource = (kind: string, name: string, spec: object): string =>
  JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name }, spec });

function world() {
  const calculator = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });
  const put = (path: string, kind: string, spec: object): void => {
    calculator.put(`${ROOT}/${path}`, resource(kind, path.split('/').at(-1)!, spec));
  };
  const endpoint = (pod: string, own: readonly string[], external: readonly string[]): void =>
    put(`workloadendpoints/ns/node1-k8s-${pod}-eth0`, 'WorkloadEndpoint', {
      node: 'node1',
      interfaceName: `cali${pod}`,
      ipNetworks: own.map((ip) => `${ip}/${ip.includes(':') ? 128 : 32}`),
      ipNATs: external.map((externalIP) => ({
        internalIP: own.find((ip) => ip.includes(':') === externalIP.includes(':')),
        externalIP,
      })),
    });
  const rules = (chain: string, family: 4 | 6 = 4): readonly string[] =>
    (calculator.of(family).desired().tables.get('nat')!.chains.get(chain)?.rules ?? []).map(
      ({ text }) => text.replace(/^-m comment --comment "cali:[^"]*" /, ''),
    );
  const allow = (floatingIPs: string): void =>
    put('felixconfigurations/default', 'FelixConfiguration', { floatingIPs });
  put('ippools/floating', 'IPPool', { cidr: '172.30.0.0/24', disabled: true });
  put('ippools/six', 'IPPool', { cidr: 'fd00:30::/64', disabled: true });
  return { calculator, endpoint, rules, allow };
}

test('floating addresses: only where FelixConfiguration has them enabled, in Felix’s rules and order', () => {
  const { calculator, endpoint, rules, allow } = world();
  endpoint('b', ['10.65.0.3'], ['172.30.0.9', '172.30.0.5']);
  endpoint('a', ['10.65.0.2'], ['172.30.0.7']);
  assert.deepEqual([rules('cali-fip-dnat'), rules('cali-fip-snat')], [[], []]);
  allow('Enabled');
  assert.deepEqual(rules('cali-fip-dnat'), [
    '--destination 172.30.0.5 --jump DNAT --to-destination 10.65.0.3',
    '--destination 172.30.0.7 --jump DNAT --to-destination 10.65.0.2',
    '--destination 172.30.0.9 --jump DNAT --to-destination 10.65.0.3',
  ]);
  assert.deepEqual(rules('cali-fip-snat'), [
    '--source 10.65.0.2 --destination 10.65.0.2 --jump SNAT --to-source 172.30.0.7',
    '--source 10.65.0.3 --destination 10.65.0.3 --jump SNAT --to-source 172.30.0.5',
  ]);
  const before = calculator.of(4).desired().tables.get('nat');
  endpoint('c', ['10.65.0.4'], []);
  assert.equal(calculator.of(4).desired().tables.get('nat'), before, 'the same object');
  calculator.remove(`${ROOT}/workloadendpoints/ns/node1-k8s-b-eth0`);
  assert.equal(calculator.of(4).additions(), undefined, 'the rules of one that went go at once');
  assert.equal(rules('cali-fip-dnat').length, 1);
  allow('Disabled');
  assert.deepEqual(rules('cali-fip-dnat'), []);
});

test('floating addresses: none that lies in no pool; IPv6 has a nat table for them', () => {
  const { endpoint, rules, allow } = world();
  allow('Enabled');
  endpoint('a', ['10.65.0.2', 'fd00:65::2'], ['10.96.0.1', 'fd00:31::1']);
  assert.deepEqual([rules('cali-fip-dnat'), rules('cali-fip-dnat', 6)], [[], []]);
  endpoint('a', ['10.65.0.2', 'fd00:65::2'], ['fd00:30::1']);
  assert.deepEqual(rules('cali-fip-dnat', 6), [
    '--destination fd00:30::1 --jump DNAT --to-destination fd00:65::2',
  ]);
  assert.deepEqual(rules('cali-fip-dnat'), []);
});
