import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ip } from '../../net/ip.ts';
import { PolicyCalculator } from '../calculate.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const stored = (kind: string, name: string, spec: object, labels = {}): string =>
  JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name, labels }, spec });

interface Host {
  readonly interfaceName?: string;
  readonly expectedIPs?: readonly string[];
  readonly profiles?: readonly string[];
  readonly node?: string;
}

function world(hosts: Readonly<Record<string, Host>>): PolicyCalculator {
  const calculator = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'DROP', ipipEnabled: false },
    nodeAddress: () => ip('10.9.0.1'),
  });
  for (const [name, spec] of Object.entries(hosts))
    calculator.put(
      `${ROOT}hostendpoints/${name}`,
      stored('HostEndpoint', name, { node: 'node1', ...spec }, { host: name }),
    );
  return calculator;
}

/** Of one chain of the filter table, match and action of each rule. */
function rulesOf(
  calculator: PolicyCalculator,
  chain: string,
  table: 'raw' | 'mangle' | 'filter' = 'filter',
): readonly string[] {
  const { tables } = calculator.of(4).desired();
  const rules = tables.get(table)!.chains.get(chain)?.rules ?? [];
  return rules.map(({ text }) => text.replace(/-m comment --comment "[^"]*" ?/g, ''));
}

test('no host endpoint: nothing leads anywhere', () => {
  const calculator = world({ other: { node: 'node2', interfaceName: 'eth0' } });
  for (const table of ['raw', 'mangle', 'filter'] as const)
    assert.deepEqual(rulesOf(calculator, 'cali-from-host-endpoint', table), []);
  assert.equal(calculator.needsIpv6, false);
});

test('a named interface is guarded, and of two host endpoints the first by name has it', () => {
  const calculator = world({
    b: { interfaceName: 'eth0' },
    a: { interfaceName: 'eth0', profiles: ['projectcalico-default-allow'] },
    c: { interfaceName: 'eth10' },
    pod: { interfaceName: 'cali12345' },
  });
  assert.deepEqual(rulesOf(calculator, 'cali-from-host-endpoint'), [
    '--in-interface eth0 --goto cali-fh-eth0',
    '--in-interface eth10 --goto cali-fh-eth10',
  ]);
  assert.ok(
    rulesOf(calculator, 'cali-fh-eth0').some((rule) => rule.startsWith('--jump cali-pri-')),
    'the profile of a',
  );
  assert.equal(rulesOf(calculator, 'cali-fh-eth10').at(-1), '--jump DROP');
  assert.equal(calculator.needsIpv6, true, 'IPv6 must not be a way around it');
});

test('without a name it guards the interfaces that have an expected address', () => {
  const calculator = world({ a: { expectedIPs: ['10.9.0.1'] } });
  assert.deepEqual(rulesOf(calculator, 'cali-from-host-endpoint'), []);
  assert.equal(calculator.setHostAddresses(new Map([['eth3', [ip('10.9.0.1')]]])), true);
  assert.deepEqual(rulesOf(calculator, 'cali-from-host-endpoint'), [
    '--in-interface eth3 --goto cali-fh-eth3',
  ]);
  assert.equal(calculator.setHostAddresses(new Map()), true);
  assert.deepEqual(rulesOf(calculator, 'cali-from-host-endpoint'), []);
});

test('* guards all others; what the host sends to a pod after DNAT is not asked', () => {
  const calculator = world({ all: { interfaceName: '*' }, eth0: { interfaceName: 'eth0' } });
  assert.deepEqual(rulesOf(calculator, 'cali-from-host-endpoint'), [
    '--in-interface eth0 --goto cali-fh-eth0',
    '--goto cali-fh-any-interface-at-all',
  ]);
  assert.deepEqual(rulesOf(calculator, 'cali-to-host-endpoint', 'mangle'), [
    '--out-interface eth0 --goto cali-th-eth0',
    '--out-interface cali+ --jump RETURN',
    '--goto cali-th-any-interface-at-all',
  ]);
});

test('without a policy for them forwarded packets pass, all others but failsafes do not', () => {
  const calculator = world({ a: { interfaceName: 'eth0' } });
  assert.deepEqual(rulesOf(calculator, 'cali-fhfw-eth0').slice(-2), [
    '--jump MARK --set-mark 0x10000/0x10000',
    '--jump RETURN',
  ]);
  assert.deepEqual(rulesOf(calculator, 'cali-th-eth0'), [
    '-m conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT',
    '-m conntrack --ctstate INVALID --jump DROP',
    '--jump cali-failsafe-out',
    '--jump MARK --set-mark 0/0x30000',
    '--jump DROP',
  ]);
});

test('failsafe ports are FelixConfiguration’s, the node’s before the cluster’s', () => {
  const calculator = world({ a: { interfaceName: 'eth0' } });
  assert.equal(rulesOf(calculator, 'cali-failsafe-in').length, 9);
  const felix = (name: string, failsafeInboundHostPorts: unknown): void =>
    void calculator.put(
      `${ROOT}felixconfigurations/${name}`,
      stored('FelixConfiguration', name, { failsafeInboundHostPorts }),
    );
  felix('default', []);
  assert.deepEqual(rulesOf(calculator, 'cali-failsafe-in'), []);
  felix('node.node1', [
    { protocol: 'TCP', port: 2222, net: '10.0.0.0/8' },
    { protocol: 'tcp', port: 1, net: 'fd00::/8' },
  ]);
  assert.deepEqual(rulesOf(calculator, 'cali-failsafe-in'), [
    '-p tcp -m multiport --destination-ports 2222 --source 10.0.0.0/8 --jump ACCEPT',
  ]);
});

test('a policy for host endpoints only never reaches a workload', () => {
  const calculator = world({});
  calculator.put(
    `${ROOT}workloadendpoints/ns/node1-k8s-a-eth0`,
    stored('WorkloadEndpoint', 'node1-k8s-a-eth0', {
      node: 'node1',
      interfaceName: 'cali1',
      ipNetworks: ['10.1.0.1/32'],
    }),
  );
  for (const use of ['doNotTrack', 'preDNAT'])
    calculator.put(
      `${ROOT}globalnetworkpolicies/${use}`,
      stored('GlobalNetworkPolicy', use, {
        selector: 'all()',
        [use]: true,
        applyOnForward: true,
        ingress: [{ action: 'Allow' }],
      }),
    );
  assert.deepEqual(
    rulesOf(calculator, 'cali-tw-cali1').filter((rule) => rule.includes('cali-pi-')),
    [],
  );
});
